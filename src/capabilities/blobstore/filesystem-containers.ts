import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../../errors/herald-error.ts'
import { decodeKey, encodeKey } from '../keyvalue/key-encoding.ts'
import {
  type BlobContainer,
  type BlobReading,
  BlobRefusal,
  type ContainerSource,
  maxListed,
  type NextBytes,
  partOf,
  pieceBytes,
} from './blob-container.ts'

const maxNameLength = 255

/** Containers as directories, objects as files. @param root real path of a directory */
export function filesystemContainers(root: string): ContainerSource {
  const openExisting = async (name: string): Promise<BlobContainer | undefined> => {
    const directory = join(root, name)
    return attempt(async () => {
      const found = await ifThere(() => realpath(directory))
      if (found === undefined) return undefined
      // A guest that has the same directory mounted could have put a link in its place.
      if (found !== directory) throw new BlobRefusal('the container cannot be used')
      return new DirectoryContainer(directory, (await stat(directory)).birthtimeMs)
    })
  }
  return {
    open: openExisting,
    async create(name) {
      await attempt(() => mkdir(join(root, name), { mode: 0o700, recursive: true }))
      const container = await openExisting(name)
      if (container === undefined) throw new BlobRefusal('the container was deleted meanwhile')
      return container
    },
    async remove(name) {
      if ((await openExisting(name)) !== undefined) {
        await attempt(() => rm(join(root, name), { recursive: true, force: true }))
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

class DirectoryContainer implements BlobContainer {
  readonly createdAtMs: number
  readonly #directory: string

  constructor(directory: string, createdAtMs: number) {
    this.#directory = directory
    this.createdAtMs = createdAtMs
  }

  async read(name: string, range: { start: number; end: number }): Promise<BlobReading | undefined> {
    const opened = await this.#open(name)
    if (opened === undefined) return undefined
    const { file, size } = opened
    const { from, to } = partOf(size, range)
    let at = from
    return {
      size: to - from,
      next: () =>
        attempt(async () => {
          if (at >= to) return undefined
          const bytes = Buffer.allocUnsafeSlow(Math.min(pieceBytes, to - at))
          const { bytesRead } = await file.read(bytes, 0, bytes.length, at)
          if (bytesRead === 0) throw new BlobRefusal('the object was cut while it was read')
          at += bytesRead
          return bytes.subarray(0, bytesRead)
        }),
      close: () => file.close().catch(() => {}),
    }
  }

  async write(name: string, next: NextBytes): Promise<void> {
    const path = this.#path(name)
    const temporary = join(this.#directory, `.${randomUUID()}`)
    try {
      await using file = await attempt(() => open(temporary, 'wx', 0o600))
      for (let piece = await next(); piece !== undefined; piece = await next()) {
        const bytes = piece
        await attempt(() => file.writeFile(bytes))
      }
    } catch (error) {
      await unlink(temporary).catch(() => {})
      throw error
    }
    await attempt(() => rename(temporary, path))
  }

  async info(name: string) {
    const opened = await this.#open(name)
    if (opened === undefined) return undefined
    await opened.file.close()
    return { size: opened.size, createdAtMs: opened.mtimeMs }
  }

  async delete(name: string): Promise<void> {
    await attempt(() => ifThere(() => unlink(this.#path(name))))
  }

  async list(): Promise<string[]> {
    const names = (await attempt(() => readdir(this.#directory))).filter((name) => !name.startsWith('.'))
    if (names.length > maxListed) throw new BlobRefusal(`more than ${maxListed} objects cannot be listed`)
    return names.map((name) => decodeKey(name, '%'))
  }

  /** Links are not followed, and only files are objects. */
  #open(name: string): Promise<{ file: FileHandle; size: number; mtimeMs: number } | undefined> {
    const path = this.#path(name)
    return attempt(() =>
      ifThere(async () => {
        const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
        const found = await file.stat()
        if (found.isFile()) return { file, size: found.size, mtimeMs: found.mtimeMs }
        await file.close()
        return undefined
      }),
    )
  }

  #path(name: string): string {
    const encoded = encodeKey(name, '%', '')
    if (encoded.length > maxNameLength) throw new BlobRefusal('the name is too long for this store')
    return join(this.#directory, encoded)
  }
}

async function ifThere<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function attempt<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (typeof code !== 'string' || code.startsWith('ERR_')) throw cause
    throw new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the directory of a blob store: ${code}`, {
      hint: 'check its permissions, and that the disk is not full',
      cause,
    })
  }
}
