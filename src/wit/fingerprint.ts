import { createHash } from 'node:crypto'
import type { WitFunction } from './wit-type.ts'

/**
 * Says whether two components mean the same function: equal for functions that `sameFunction` calls the same, and for no others. 32
 * hexadecimal digits.
 */
export function fingerprintOf({ name, params, result, isAsync }: WitFunction): string {
  const text = JSON.stringify([name, params, result ?? null, isAsync])
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
