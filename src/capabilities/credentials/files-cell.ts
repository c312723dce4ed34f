import type { CellCapability } from '../capability.ts'

/** `herald:credentials/files` in the cell: all of it is a directory and variables, which the host has set by now. */
export function openCapability(): CellCapability {
  return { prepare: () => ({}) }
}
