/**
 * `held`: files, sockets and outgoing requests that instances have open, those that are kept for the next call too. `listenerRequests`: in
 * flight at its own listeners. `cpuSpentMs`, `throttledMs`, `cpuRefusals`: of cells with a share of the processor, see `cpu-share.ts`. Nothing is
 * ever written to `nap`.
 */
const slots = {
  ticking: 0,
  beat: 1,
  requests: 2,
  failures: 3,
  traps: 4,
  inFlight: 5,
  instances: 6,
  held: 7,
  handleLimits: 8,
  cpuMs: 9,
  listenerRequests: 10,
  cpuSpentMs: 11,
  throttledMs: 12,
  cpuRefusals: 13,
  nap: 14,
} as const

/** Counters a cell's thread writes and the engine reads without asking it: they tell also of a cell that does not answer. */
export class Vitals {
  readonly buffer: SharedArrayBuffer
  readonly #cells: Int32Array

  constructor(buffer = new SharedArrayBuffer(Object.keys(slots).length * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#cells = new Int32Array(buffer)
  }

  get(name: keyof typeof slots): number {
    return Atomics.load(this.#cells, slots[name])
  }

  set(name: keyof typeof slots, value: number): void {
    Atomics.store(this.#cells, slots[name], value)
  }

  /** Only the cell's own thread adds, or who has found that it stands still. */
  add(name: keyof typeof slots, amount: number): void {
    this.#cells[slots[name]]! += amount
  }

  /** Has the calling thread sleep. @returns for how long it slept, whole ms */
  nap(ms: number): number {
    const fromMs = performance.now()
    Atomics.wait(this.#cells, slots.nap, 0, ms)
    return Math.round(performance.now() - fromMs)
  }
}
