import type { CellCapability } from '../../src/capabilities/capability.ts'

/** `herald:bench/host` of `imports.wit`: does nothing, so that what is measured is the way there and back. */
export function openCapability(): CellCapability {
  return {
    prepare: () => ({
      'herald:bench/host': {
        plain: (number: number) => number + 1,
        waits: async (number: number) => number + 1,
      },
    }),
  }
}
