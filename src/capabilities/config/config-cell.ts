import type { CellCapability } from '../capability.ts'

/** `wasi:config` in the cell: all values are there already, so no call waits. */
export function openCapability(config: unknown): CellCapability {
  const values = config as ReadonlyMap<string, string>
  const functions = {
    get: (key: string): string | undefined => values.get(key),
    getAll: (): [string, string][] => [...values],
  }
  return { prepare: () => ({ 'wasi:config/store': functions, 'wasi:config/runtime': functions }) }
}
