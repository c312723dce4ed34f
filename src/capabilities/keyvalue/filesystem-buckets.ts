import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, realpath, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../../errors/herald-error.ts'
import { type Bucket, type BucketSource, pageOf } from './bucket.ts'
import { addToCounter } from './counter.ts'
import { decodeKey, encodeKey } from './key-encoding.ts'
import { refuse } from './keyvalue-error.ts'

/** Longest name of a file on Linux, bytes. */
const maxNameLength = 255

/** Buckets as directories, keys as files, of one host: counters are atomic among its workloads, not among hosts that share a disk. */
export class FilesystemBuckets {
  /** What waits for a counter, by path. */
  readonly #counting = new Map<string, Promise<unknown>>()

  /** @param root real path of a directory */
  source(root: string): BucketSource {
    return {
      open: async (name) => {
        const directory = join(root, name)
        await attempt(async () => {
          await mkdir(directory, { mode: 0o700, recursive: true })
          // A guest that has the same directory mounted could have put a link in its place.
          if ((await realpath(directory)) !== directory) throw new Error('a symbolic link stands in its place')
        })
        return new DirectoryBucket(directory, (path, act) => this.#oneByOne(path, act))
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  #oneByOne<T>(path: string, act: () => Promise<T>): Promise<T> {
    const before = this.#counting.get(path) ?? Promise.resolve()
    const now = before.then(act, act)
    const settled = now.catch(() => {})
    this.#counting.set(path, settled)
    void settled.then(() => {
      if (this.#counting.get(path) === settled) this.#counting.delete(path)
    })
    return now
  }
}

class DirectoryBucket implements Bucket {
  readonly #directory: string
  readonly #oneByOne: <T>(path: string, act: () => Promise<T>) => Promise<T>

  constructor(directory: string, oneByOne: <T>(path: string, act: () => Promise<T>) => Promise<T>) {
    this.#directory = directory
    this.#oneByOne = oneByOne
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return attempt(() => read(this.#path(key)))
  }

  set(key: string, value: Uint8Array): Promise<void> {
    const path = this.#path(key)
    return this.#oneByOne(path, () => attempt(() => this.#write(path, value)))
  }

  delete(key: string): Promise<void> {
    return attempt(async () => {
      await unlink(this.#path(key)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    })
  }

  async exists(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined
  }

  async listKeys(cursor: bigint | undefined) {
    const names = await attempt(() => readdir(this.#directory))
    return pageOf(
      names.filter((name) => !name.startsWith('.')).map((name) => decodeKey(name, '%')),
      cursor,
    )
  }

  increment(key: string, delta: bigint): Promise<bigint> {
    const path = this.#path(key)
    return this.#oneByOne(path, () =>
      attempt(async () => {
        const { sum, bytes } = addToCounter(await read(path), delta)
        await this.#write(path, bytes)
        return sum
      }),
    )
  }

  async getMany(keys: readonly string[]) {
    const values: (Uint8Array | undefined)[] = []
    for (const key of keys) values.push(await this.get(key))
    return values
  }

  async setMany(pairs: readonly (readonly [string, Uint8Array])[]) {
    for (const [key, value] of pairs) await this.set(key, value)
  }

  async deleteMany(keys: readonly string[]) {
    for (const key of keys) await this.delete(key)
  }

  /** Whole or not at all: a reader never sees half a value. */
  async #write(path: string, value: Uint8Array): Promise<void> {
    const temporary = join(this.#directory, `.${randomUUID()}`)
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(value)
    } finally {
      await file.close()
    }
    await rename(temporary, path).catch(async (error) => {
      await unlink(temporary).catch(() => {})
      throw error
    })
  }

  /** A name of its own for every key; never one with a dot. */
  #path(key: string): string {
    const name = encodeKey(key, '%', '')
    if (name.length > maxNameLength) throw refuse('the key is too long for this store')
    return join(this.#directory, name)
  }
}

async function read(path: string): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if (!(await file.stat()).isFile()) return undefined
    return await file.readFile()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function attempt<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') throw cause
    if (cause.code.startsWith('ERR_')) throw cause
    throw new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the directory of a keyvalue store: ${cause.code}`, {
      hint: 'check its permissions, and that the disk is not full',
      cause,
    })
  }
}
