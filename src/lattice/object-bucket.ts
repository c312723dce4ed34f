import { DiscardPolicy, type NatsConnection, NatsError, type ObjectStore, StorageType } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'
import { fromNatsError } from './nats-errors.ts'
import { deleteObject, forClient, listObjects, readObject, writeObject } from './object-pieces.ts'

export type ObjectFacts = { readonly name: string; readonly size: number; readonly modifiedAt: Date }

export type ObjectPieces = {
  readonly size: number
  /** `undefined` at the end; the last piece comes only when all of them have the object's digest. @throws ERR_LATTICE_… */
  next(): Promise<Uint8Array | undefined>
}

/** One object bucket of JetStream. Names are any text. All functions throw ERR_LATTICE_… */
export interface ObjectBucket {
  readonly createdAt: Date
  info(name: string): Promise<ObjectFacts | undefined>
  /** A piece at a time, each asked for when it is wanted. */
  read(name: string): Promise<ObjectPieces | undefined>
  /** Whole or not at all: when `next` throws, nothing of it stays. `undefined` is the end. */
  write(name: string, next: () => Promise<Uint8Array | undefined>): Promise<void>
  /** Whether there was one. */
  delete(name: string): Promise<boolean>
  list(): Promise<ObjectFacts[]>
  /** With all that is in it. */
  destroy(): Promise<void>
}

export type ObjectBucketOptions = {
  /** Make it when it is not there. Default: then there is none. */
  readonly create?: { readonly replicas: number; readonly storage: 'file' | 'memory' }
}

const timeoutMs = 10_000

/** @returns `undefined` when it is not there and is not to be made. @throws ERR_LATTICE_… */
export async function openObjectBucket(
  live: (timeoutMs: number) => NatsConnection | Promise<NatsConnection>,
  name: string,
  { create }: ObjectBucketOptions,
): Promise<ObjectBucket | undefined> {
  if (!/^[\w-]{1,200}$/.test(name)) {
    throw new HeraldError('ERR_LATTICE_STORAGE', `${JSON.stringify(name.slice(0, 100))} cannot be the name of a bucket`)
  }
  /** Nothing in it is bound to one connection for longer than a call. */
  const store = async (): Promise<ObjectStore> => (await live(timeoutMs)).jetstream().views.os(name)
  const attempt = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      throw fromNatsError(error, `${what} the bucket ${name}`)
    }
  }
  const createdAt = await attempt('open', async () => {
    const connection = await live(timeoutMs)
    const manager = await connection.jetstreamManager()
    const existing = await manager.streams.info(`OBJ_${name}`).catch((error: unknown) => {
      if (error instanceof NatsError && error.api_error?.code === 404) return undefined
      throw error
    })
    if (existing !== undefined || create === undefined) return existing?.created
    // Made here, not by the client: nats 2.29 sends its own option `replicas` along, which the server refuses. As the client makes it else.
    const made = await manager.streams.add({
      name: `OBJ_${name}`,
      subjects: [`$O.${name}.C.>`, `$O.${name}.M.>`],
      num_replicas: create.replicas,
      storage: create.storage === 'file' ? StorageType.File : StorageType.Memory,
      discard: DiscardPolicy.New,
      allow_rollup_hdrs: true,
      allow_direct: true,
    })
    return made.created
  })
  if (createdAt === undefined) return undefined
  const toFacts = (info: { name: string; size: number; mtime: string }): ObjectFacts => ({
    name: info.name,
    size: info.size,
    modifiedAt: new Date(info.mtime),
  })
  return {
    createdAt: new Date(createdAt),
    info: (object) =>
      attempt('ask', async () => {
        const info = await (await store()).info(forClient(object))
        return info === null || info.deleted ? undefined : toFacts(info)
      }),
    read: (object) =>
      attempt('read', async () => {
        const info = await (await store()).info(forClient(object))
        if (info === null || info.deleted) return undefined
        const pieces = await readObject(await live(timeoutMs), name, info)
        return { size: info.size, next: () => attempt('read', pieces) }
      }),
    write: async (object, next) => {
      const connection = await live(timeoutMs)
      const open = await store()
      await writeObject(connection, name, { object, next, open, attempt })
    },
    delete: (object) =>
      attempt('delete from', async () => {
        const info = await (await store()).info(forClient(object))
        if (info === null || info.deleted) return false
        await deleteObject(await live(timeoutMs), name, info)
        return true
      }),
    list: () => attempt('list', async () => listObjects(await live(timeoutMs), name)),
    destroy: () =>
      attempt('delete', async () => {
        await (await store()).destroy()
      }),
  }
}
