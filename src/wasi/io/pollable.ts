import type { InstanceState } from '../instance-state.ts'
import { unwind } from './unwinding-error.ts'
import type { Waitable } from './waitable.ts'

/** `wasi:io/poll#pollable`. */
export class Pollable {
  readonly #instance: InstanceState
  readonly waitable: Waitable

  constructor(instance: InstanceState, waitable: Waitable) {
    this.#instance = instance
    this.waitable = waitable
  }

  ready(): boolean {
    this.#instance.throwIfEnded()
    return this.waitable.ready()
  }

  block(): Promise<void> | undefined {
    try {
      const wait = this.waitable.ready() ? this.#instance.breathe() : this.#instance.waitFor(this.waitable)
      return wait?.catch(unwind)
    } catch (reason) {
      return unwind(reason)
    }
  }

  [Symbol.dispose](): void {}
}

/**
 * `wasi:io/poll#poll`: the indexes of those that are ready, at least one.
 * @throws Error (a trap) for an empty list, as the interface demands.
 */
export function poll(instance: InstanceState, pollables: readonly Pollable[]): Uint32Array | Promise<Uint32Array> {
  try {
    if (pollables.length === 0) throw new Error('wasi:io/poll#poll: the list of pollables is empty')
    const ready = readyIndexes(pollables)
    if (ready.length > 0) {
      const turn = instance.breathe()
      return turn === undefined ? ready : turn.then(() => ready, unwind)
    }
    const waitables = pollables.map((pollable) => pollable.waitable)
    return instance.waitForAny(waitables).then(() => readyIndexes(pollables), unwind)
  } catch (reason) {
    return unwind(reason)
  }
}

function readyIndexes(pollables: readonly Pollable[]): Uint32Array {
  const indexes: number[] = []
  for (let index = 0; index < pollables.length; index++) {
    if (pollables[index]?.waitable.ready()) indexes.push(index)
  }
  return Uint32Array.from(indexes)
}
