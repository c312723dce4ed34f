import { createHash } from 'node:crypto'
import { consumerOpts, headers, type NatsConnection, nuid, type ObjectInfo, type ObjectStore } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'

// The object store of JetStream (NATS ADR-20) a piece at a time. The client of nats 2.29 holds what a slow reader has not read yet, all of it, and
// what a slow server has not stored yet.

const pieceBytes = 128 * 1024
/** Pieces on their way to be stored. */
const maxUnacknowledged = 8
const timeoutMs = 10_000

/** As the client wants a name: it encodes characters as single bytes, where the object store of JetStream has UTF-8. */
export const forClient = (object: string): string => Buffer.from(object).toString('latin1')

const chunkSubject = (bucket: string, id: string): string => `$O.${bucket}.C.${id}`

/** @throws what the client throws, ERR_LATTICE_STORAGE */
export async function readObject(
  connection: NatsConnection,
  bucket: string,
  info: ObjectInfo,
): Promise<() => Promise<Uint8Array | undefined>> {
  const stream = `OBJ_${bucket}`
  if (info.options?.link !== undefined)
    throw new HeraldError('ERR_LATTICE_STORAGE', `a link in the bucket ${bucket} is not followed`)
  const manager = await connection.jetstreamManager({ checkAPI: false })
  const { config } = await manager.streams.info(stream)
  const subject = chunkSubject(bucket, info.nuid)
  let next = 1
  let left = info.size
  const digest = createHash('sha256')
  const find = async (): Promise<{ readonly seq: number; readonly data: Uint8Array }> => {
    const query = { seq: next, next_by_subj: subject }
    if (config.allow_direct === true) {
      const answer = await connection.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(query), {
        timeout: timeoutMs,
      })
      const seq = Number(answer.headers?.get('Nats-Sequence'))
      if (answer.headers?.code === 0 && seq >= next) return { seq, data: answer.data }
      // A copy of the stream has answered that is a moment behind; or there is no such piece, which its leader says too.
    }
    return manager.streams.getMessage(stream, query)
  }
  return async () => {
    if (left === 0) return undefined
    const { seq, data } = await find()
    next = seq + 1
    left -= data.length
    digest.update(data)
    const whole = left === 0 && info.digest === `SHA-256=${paddedBase64Url(digest.digest())}`
    if (data.length === 0 || left < 0 || (left === 0 && !whole))
      throw new HeraldError('ERR_LATTICE_STORAGE', `an object of the bucket ${bucket} is not what its digest says`)
    return data
  }
}

export type WriteOptions = {
  readonly object: string
  readonly next: () => Promise<Uint8Array | undefined>
  readonly open: ObjectStore
  readonly attempt: <T>(what: string, act: () => Promise<T>) => Promise<T>
}

/** What `next` throws is thrown as it is. */
export async function writeObject(
  connection: NatsConnection,
  bucket: string,
  { object, next, open, attempt }: WriteOptions,
): Promise<void> {
  const jetstream = connection.jetstream()
  const manager = await attempt('write', () => connection.jetstreamManager({ checkAPI: false }))
  const id = nuid.next()
  const subject = chunkSubject(bucket, id)
  const digest = createHash('sha256')
  const underWay = new Set<Promise<void>>()
  let failure: unknown
  let size = 0
  let chunks = 0
  const store = async (bytes: Uint8Array): Promise<void> => {
    size += bytes.length
    chunks++
    digest.update(bytes)
    const sent: Promise<void> = jetstream
      .publish(subject, bytes, { timeout: timeoutMs })
      .then(
        () => {},
        (error: unknown) => {
          failure ??= error
        },
      )
      .finally(() => underWay.delete(sent))
    underWay.add(sent)
    if (underWay.size >= maxUnacknowledged) await Promise.race(underWay)
    if (failure !== undefined) await attempt('write', () => Promise.reject(failure))
  }
  try {
    const old = await attempt('write', () => open.info(forClient(object)))
    for (let bytes = await next(); bytes !== undefined; bytes = await next()) {
      for (let at = 0; at < bytes.length; at += pieceBytes) await store(bytes.subarray(at, at + pieceBytes))
    }
    await Promise.all(underWay)
    await attempt('write', async () => {
      if (failure !== undefined) throw failure
      const options = { max_chunk_size: pieceBytes }
      const sum = `SHA-256=${paddedBase64Url(digest.digest())}`
      await publishMeta(connection, bucket, { name: object, options, nuid: id, size, chunks, digest: sum })
    })
    // The new one is there; what is left of the old one only takes room.
    if (old !== null && old.nuid !== '')
      await manager.streams.purge(`OBJ_${bucket}`, { filter: chunkSubject(bucket, old.nuid) }).catch(() => {})
  } catch (error) {
    await Promise.all(underWay)
    await manager.streams.purge(`OBJ_${bucket}`, { filter: subject }).catch(() => {})
    throw error
  }
}

/** @throws what the client throws */
export async function deleteObject(connection: NatsConnection, bucket: string, info: ObjectInfo): Promise<void> {
  const { name, nuid: id } = info
  await publishMeta(connection, bucket, { name, nuid: id, size: 0, chunks: 0, digest: '', deleted: true })
  const manager = await connection.jetstreamManager({ checkAPI: false })
  await manager.streams.purge(`OBJ_${bucket}`, { filter: chunkSubject(bucket, id) })
}

/** Not by the client, which asks for the names of all streams to find this one. @throws what the client throws */
export async function listObjects(
  connection: NatsConnection,
  bucket: string,
): Promise<{ readonly name: string; readonly size: number; readonly modifiedAt: Date }[]> {
  const options = consumerOpts()
  options.bindStream(`OBJ_${bucket}`)
  options.orderedConsumer()
  options.deliverLastPerSubject()
  const last = await connection.jetstream().subscribe(`$O.${bucket}.M.>`, options)
  const found: { name: string; size: number; modifiedAt: Date }[] = []
  try {
    const { num_pending, delivered } = await last.consumerInfo()
    if (num_pending === 0 && delivered.consumer_seq === 0) return found
    for await (const message of last) {
      const { name, size, deleted } = message.json<ObjectInfo>()
      const modifiedAt = new Date(message.info.timestampNanos / 1e6)
      if (!deleted) found.push({ name, size, modifiedAt })
      if (message.info.pending === 0) break
    }
    return found
  } finally {
    last.unsubscribe()
  }
}

type Meta = {
  readonly name: string
  readonly options?: object
  readonly nuid: string
  readonly size: number
  readonly chunks: number
  readonly digest: string
  readonly deleted?: true
}

/** Takes the place of what was said of the object before. */
async function publishMeta(connection: NatsConnection, bucket: string, meta: Meta): Promise<void> {
  const rollup = headers()
  rollup.set('Nats-Rollup', 'sub')
  const payload = JSON.stringify({ bucket, mtime: new Date().toISOString(), ...meta, deleted: meta.deleted ?? false })
  const subject = `$O.${bucket}.M.${paddedBase64Url(Buffer.from(meta.name))}`
  await connection.jetstream().publish(subject, payload, { headers: rollup, timeout: timeoutMs })
}

function paddedBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}
