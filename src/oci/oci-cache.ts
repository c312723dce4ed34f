import { createHmac, randomBytes } from 'node:crypto'
import { constants, type Dirent } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { digestHex, digestOf, digestOfLarge, isDigest, type OciDigest } from './oci-digest.ts'

export type OciCacheOptions = {
  /** Made when missing, mode 0700. Any number of hosts on one machine may share it. */
  readonly directory: string
  /** Least recently used blobs go once all together are larger, bytes. */
  readonly maxBytes: number
  readonly clock: Clock
  readonly log: Log
}

export type CachedReference = {
  readonly manifestDigest: OciDigest
  /** Pulled without credentials: anybody may have it. */
  readonly anonymous: boolean
  /** Marks of credentials that a registry has accepted for it; see {@link OciCache.mark}. */
  readonly marks: readonly string[]
}

/** Names are always digests, so nothing from outside can become a path. */
const referenceSchema = z.strictObject({
  reference: z.string(),
  manifestDigest: z.string(),
  anonymous: z.boolean(),
  marks: z.array(z.string()),
})

/**
 * Content-addressed files shared by hosts: `blobs/<sha256>`, `references/<sha256 of the reference>`. A file appears by rename or not at
 * all, and what is read is checked against its digest first. The cache is an aid: when the disk is full or broken, pulls go on without it
 * and a log event says so.
 */
export interface OciCache {
  readBlob(digest: OciDigest, sizeLimitBytes: number): Promise<Uint8Array | undefined>
  writeBlob(digest: OciDigest, bytes: Uint8Array): Promise<void>
  readReference(canonical: string): Promise<CachedReference | undefined>
  writeReference(canonical: string, entry: CachedReference): Promise<void>
  /** A keyed hash of credentials: tells them again without storing them. The key never leaves this directory. */
  mark(credentialKey: string): Promise<string>
}

/** @throws ERR_OCI_CACHE_UNUSABLE when the directory cannot be made */
export async function openOciCache({ directory, maxBytes, clock, log }: OciCacheOptions): Promise<OciCache> {
  const blobs = join(directory, 'blobs')
  const references = join(directory, 'references')
  const incoming = join(directory, 'incoming')
  for (const each of [directory, blobs, references, incoming]) {
    await mkdir(each, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw new HeraldError('ERR_OCI_CACHE_UNUSABLE', `the image cache ${each} cannot be made: ${error.code}`, {
        hint: 'give the host a directory it may write to',
        cause: error,
      })
    })
  }
  const key = await markKey(join(directory, 'mark.key'))
  let evicting: Promise<void> | undefined

  const unusable = (error: unknown, what: string) =>
    log.warn(
      { event: 'oci.cache.failed', what, code: (error as NodeJS.ErrnoException).code },
      'the image cache cannot be used; going on without it',
    )

  async function place(path: string, bytes: Uint8Array | string): Promise<void> {
    const temporary = join(incoming, randomBytes(16).toString('hex'))
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flag: 'wx' })
      await rename(temporary, path)
    } catch (error) {
      await unlink(temporary).catch(() => {})
      unusable(error, 'write')
    }
  }

  async function evict(): Promise<void> {
    const files: { path: string; size: number; usedMs: number }[] = []
    for (const entry of await list(blobs)) {
      const found = await stat(join(blobs, entry.name)).catch(() => undefined)
      if (found) files.push({ path: join(blobs, entry.name), size: found.size, usedMs: found.mtimeMs })
    }
    let total = files.reduce((sum, { size }) => sum + size, 0)
    for (const file of files.sort((a, b) => a.usedMs - b.usedMs)) {
      if (total <= maxBytes) break
      await unlink(file.path).catch(() => {})
      total -= file.size
      log.debug({ event: 'oci.cache.evicted', sizeBytes: file.size }, 'evicted the least recently used blob')
    }
    // What a host that was killed left half written.
    for (const entry of await list(incoming)) {
      const found = await stat(join(incoming, entry.name)).catch(() => undefined)
      if (found && found.mtimeMs < clock.nowMs() - 3_600_000) await unlink(join(incoming, entry.name)).catch(() => {})
    }
  }

  return {
    async readBlob(digest, sizeLimitBytes) {
      const path = join(blobs, digestHex(digest))
      const bytes = await readRegularFile(path, sizeLimitBytes).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') unusable(error, 'read')
        return undefined
      })
      if (bytes === undefined) return undefined
      if ((await digestOfLarge(bytes)) !== digest) {
        log.warn({ event: 'oci.cache.altered', digest }, 'a cached blob does not have its digest; it was removed')
        await unlink(path).catch(() => {})
        return undefined
      }
      const now = new Date(clock.nowMs())
      await utimes(path, now, now).catch(() => {})
      return bytes
    },
    async writeBlob(digest, bytes) {
      if (bytes.length > maxBytes) return
      await place(join(blobs, digestHex(digest)), bytes)
      evicting ??= evict()
        .catch((error: unknown) => unusable(error, 'evict'))
        .finally(() => {
          evicting = undefined
        })
      await evicting
    },
    async readReference(canonical) {
      try {
        const bytes = await readRegularFile(join(references, nameOf(canonical)), 65_536)
        const parsed = referenceSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
        if (parsed.reference !== canonical || !isDigest(parsed.manifestDigest)) return undefined
        return { manifestDigest: parsed.manifestDigest, anonymous: parsed.anonymous, marks: parsed.marks }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
          log.warn(
            { event: 'oci.cache.reference-unreadable' },
            'a cached reference cannot be read; it is fetched again',
          )
        return undefined
      }
    },
    async writeReference(canonical, { manifestDigest, anonymous, marks }) {
      // The oldest go: they only cost their owner one question to the registry.
      const entry = { reference: canonical, manifestDigest, anonymous, marks: marks.slice(-64) }
      await place(join(references, nameOf(canonical)), JSON.stringify(entry))
    },
    async mark(credentialKey) {
      return createHmac('sha256', key).update(credentialKey).digest('hex')
    },
  }
}

function nameOf(canonical: string): string {
  return digestHex(digestOf(Buffer.from(canonical)))
}

async function list(directory: string): Promise<Dirent[]> {
  return (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isFile())
}

/** No link is followed and no pipe opened, whoever else may write to the directory. */
async function readRegularFile(path: string, sizeLimitBytes: number): Promise<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const { size, ...found } = await file.stat()
  if (!isRegular(found.mode) || size > sizeLimitBytes)
    throw Object.assign(new Error('not a regular file of that size'), { code: 'EFBIG' })
  return await file.readFile()
}

function isRegular(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFREG
}

/** One random key per directory. Whoever makes the file first wins; all hosts that share the directory read the same one. */
async function markKey(path: string): Promise<Buffer> {
  const fresh = randomBytes(32)
  try {
    await writeFile(path, fresh, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return fresh
  }
  const stored = await readFile(path).catch(() => fresh)
  return stored.length === 32 ? stored : fresh
}
