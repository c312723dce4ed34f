import { createHash } from 'node:crypto'
import type { BigIntStats, Dirent } from 'node:fs'
import type { Datetime } from '../clocks.ts'

/** `wasi:filesystem/types#descriptor-type`. */
export type DescriptorType =
  | 'unknown'
  | 'block-device'
  | 'character-device'
  | 'directory'
  | 'fifo'
  | 'symbolic-link'
  | 'regular-file'
  | 'socket'

export function typeOf(entry: BigIntStats | Dirent): DescriptorType {
  if (entry.isFile()) return 'regular-file'
  if (entry.isDirectory()) return 'directory'
  if (entry.isSymbolicLink()) return 'symbolic-link'
  if (entry.isFIFO()) return 'fifo'
  if (entry.isSocket()) return 'socket'
  if (entry.isCharacterDevice()) return 'character-device'
  if (entry.isBlockDevice()) return 'block-device'
  return 'unknown'
}

/** `wasi:filesystem/types#descriptor-stat`. */
export function descriptorStat(stats: BigIntStats): object {
  return {
    type: typeOf(stats),
    linkCount: stats.nlink,
    size: stats.size,
    dataAccessTimestamp: datetime(stats.atimeNs),
    dataModificationTimestamp: datetime(stats.mtimeNs),
    statusChangeTimestamp: datetime(stats.ctimeNs),
  }
}

function datetime(nanoseconds: bigint): Datetime {
  // A time before the epoch has no place in an unsigned number of seconds.
  if (nanoseconds < 0n) return { seconds: 0n, nanoseconds: 0 }
  return { seconds: nanoseconds / 1_000_000_000n, nanoseconds: Number(nanoseconds % 1_000_000_000n) }
}

/** Changes when the object is another one or was modified; gives away neither device nor inode. */
export function metadataHash(stats: BigIntStats): { lower: bigint; upper: bigint } {
  const digest = createHash('sha256').update(`${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`).digest()
  return { lower: digest.readBigUInt64LE(0), upper: digest.readBigUInt64LE(8) }
}

/** `wasi:filesystem/types#new-timestamp`. */
export type NewTimestamp = { readonly tag: 'no-change' | 'now' } | { readonly tag: 'timestamp'; readonly val: Datetime }

/** Seconds since the epoch as node:fs takes them; precise to about a microsecond. */
export function timestampSeconds(timestamp: NewTimestamp, presentNs: bigint): number {
  if (timestamp.tag === 'timestamp') return Number(timestamp.val.seconds) + timestamp.val.nanoseconds / 1e9
  return timestamp.tag === 'now' ? Date.now() / 1000 : Number(presentNs) / 1e9
}
