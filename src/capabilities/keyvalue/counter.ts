import { refuse } from './keyvalue-error.ts'

const maxU64 = (1n << 64n) - 1n

/** A counter as upstream's hosts store it where the backend has none of its own: 8 bytes, big-endian. */
export function addToCounter(stored: Uint8Array | undefined, delta: bigint): { sum: bigint; bytes: Uint8Array } {
  if (stored !== undefined && stored.length !== 8) throw refuse('the value of this key is not a counter')
  const before = stored === undefined ? 0n : new DataView(stored.buffer, stored.byteOffset, 8).getBigUint64(0)
  const sum = before + delta
  if (sum > maxU64) throw refuse('the counter would be larger than 18446744073709551615')
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, sum)
  return { sum, bytes }
}
