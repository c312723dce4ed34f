import type { CellCapability } from '../../../src/capabilities/capability.ts'

/** The cell's side of a capability that shares memory with the control thread: `plain` reads the first counter, `pushed` adds to the second. */
export function openCapability(config: unknown): CellCapability {
  const counters = new Int32Array((config as { shared: SharedArrayBuffer }).shared)
  return {
    prepare: () => ({
      'test:cap/calls': {
        plain: () => Atomics.load(counters, 0),
        pushed: () => Atomics.add(counters, 1, 1),
        // Nobody calls the others, but the guest imports them.
        ask: async () => '',
        number: async () => 0,
        fail: async () => 0,
      },
    }),
  }
}
