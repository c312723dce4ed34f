/**
 * Memory that the control thread shares with the cells of one component: for every audience of the allow-list an epoch and a count of
 * deliveries, and one count of refusals. The control thread raises an epoch when the token of that audience is evicted or renewed, so a
 * cell sees it at the guest's next call, even when the guest never lets the event loop turn. Tokens are never in here.
 */
export class SharedSlots {
  readonly buffer: SharedArrayBuffer
  readonly #cells: Int32Array

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.#cells = new Int32Array(buffer)
  }

  static create(slots: number): SharedSlots {
    return new SharedSlots(new SharedArrayBuffer((slots * 2 + 1) * Int32Array.BYTES_PER_ELEMENT))
  }

  static open(buffer: SharedArrayBuffer): SharedSlots {
    return new SharedSlots(buffer)
  }

  epoch(slot: number): number {
    return Atomics.load(this.#cells, 1 + slot * 2)
  }

  raiseEpoch(slot: number): number {
    return Atomics.add(this.#cells, 1 + slot * 2, 1) + 1
  }

  countDelivery(slot: number): void {
    Atomics.add(this.#cells, 2 + slot * 2, 1)
  }

  /** Deliveries since the last time this was asked. */
  takeDeliveries(slot: number): number {
    return Atomics.exchange(this.#cells, 2 + slot * 2, 0)
  }

  countRefusal(): void {
    Atomics.add(this.#cells, 0, 1)
  }

  takeRefusals(): number {
    return Atomics.exchange(this.#cells, 0, 0)
  }
}
