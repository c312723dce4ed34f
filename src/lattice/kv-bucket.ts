import { headers, type Msg, type NatsConnection } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'
import { fromNatsError } from './nats-errors.ts'
import type { NatsRequests } from './nats-requests.ts'

export type KvBucketOptions = {
  /** Copies in a cluster. Default: 1. */
  readonly replicas?: number
  /** Default: on disk. */
  readonly storage?: 'file' | 'memory'
  /** A value older than this is gone, ms. Default: never. */
  readonly ttlMs?: number
  /** Of all keys and values together. Default: the account's limit. */
  readonly maxBytes?: number
}

export type KvEntry = { readonly value: Uint8Array; readonly revision: number }

/** One keyvalue bucket of JetStream. Keys are what {@link isKvKey} accepts. All functions throw ERR_LATTICE_… */
export interface KvBucket {
  get(key: string): Promise<KvEntry | undefined>
  /** @param revision the key's present revision; `false` means that it is another. Default: whatever it is. */
  put(key: string, value: Uint8Array, revision?: number): Promise<boolean>
  /** Puts where there is no value; `false` means that there is one. */
  create(key: string, value: Uint8Array): Promise<boolean>
  delete(key: string): Promise<void>
  /** In no order; at most `limit`. */
  keys(limit: number): Promise<string[]>
}

/** What NATS takes as a key: tokens of `A-Za-z0-9_=/-`, separated by single dots. */
export function isKvKey(key: string): boolean {
  return /^[\w=/-]+(?:\.[\w=/-]+)*$/.test(key)
}

const timeoutMs = 5_000
const noBytes = new Uint8Array(0)
/** JetStream: "wrong last sequence". */
const wrongRevision = 10071

/** `deleted`: all there is of the key is the mark that it was deleted. */
type Found = KvEntry & { readonly deleted: boolean }

/** The connection as it is now, and requests over it. */
type Live = {
  live(timeoutMs: number): NatsConnection | Promise<NatsConnection>
  requests(timeoutMs: number): NatsRequests | Promise<NatsRequests>
}

/** Speaks JetStream's own subjects: one request for each call, and nothing of it is parsed that is not needed. */
export class NatsKvBucket implements KvBucket {
  readonly #from: Live
  readonly #name: string
  readonly #direct: boolean

  private constructor(from: Live, name: string, direct: boolean) {
    this.#from = from
    this.#name = name
    this.#direct = direct
  }

  static async open(from: Live, name: string, options: KvBucketOptions): Promise<NatsKvBucket> {
    if (!/^[\w-]{1,200}$/.test(name)) {
      throw new HeraldError(
        'ERR_LATTICE_STORAGE',
        `${JSON.stringify(name.slice(0, 100))} cannot be the name of a bucket`,
      )
    }
    const { replicas, storage, ttlMs, maxBytes } = options
    try {
      const connection = await from.live(timeoutMs)
      await connection.jetstream().views.kv(name, {
        history: 1,
        ...(replicas !== undefined && { replicas }),
        ...(storage !== undefined && { storage: storage as never }),
        ...(ttlMs !== undefined && { ttl: ttlMs }),
        ...(maxBytes !== undefined && { max_bytes: maxBytes }),
      })
      const manager = await connection.jetstreamManager()
      const { config } = await manager.streams.info(`KV_${name}`)
      return new NatsKvBucket(from, name, config.allow_direct === true)
    } catch (error) {
      throw fromNatsError(error, `open the bucket ${name}`)
    }
  }

  async get(key: string): Promise<KvEntry | undefined> {
    const entry = await this.#find(key)
    return entry?.deleted === false ? entry : undefined
  }

  async create(key: string, value: Uint8Array): Promise<boolean> {
    if (await this.put(key, value, 0)) return true
    const entry = await this.#find(key)
    return entry?.deleted === true && this.put(key, value, entry.revision)
  }

  async put(key: string, value: Uint8Array, revision?: number): Promise<boolean> {
    const expected = headers()
    if (revision !== undefined) expected.set('Nats-Expected-Last-Subject-Sequence', String(revision))
    const answer = await this.#request(this.#subject(key), value, revision === undefined ? undefined : expected)
    return acknowledged(answer, `put into ${this.#name}`)
  }

  async delete(key: string): Promise<void> {
    const marker = headers()
    marker.set('KV-Operation', 'DEL')
    acknowledged(await this.#request(this.#subject(key), noBytes, marker), `delete from ${this.#name}`)
  }

  async keys(limit: number): Promise<string[]> {
    try {
      const connection = await this.#from.live(timeoutMs)
      const bucket = await connection.jetstream().views.kv(this.#name, { bindOnly: true })
      const found: string[] = []
      const listing = await bucket.keys()
      for await (const key of listing) {
        if (found.push(key) >= limit) break
      }
      listing.stop()
      return found
    } catch (error) {
      throw fromNatsError(error, `list the keys of ${this.#name}`)
    }
  }

  #find(key: string): Promise<Found | undefined> {
    const subject = this.#subject(key)
    return this.#direct ? this.#getDirect(subject) : this.#getFromLeader(subject)
  }

  #subject(key: string): string {
    if (!isKvKey(key)) throw new HeraldError('ERR_LATTICE_STORAGE', 'a key cannot be part of a NATS subject')
    return `$KV.${this.#name}.${key}`
  }

  async #getDirect(subject: string): Promise<Found | undefined> {
    const answer = await this.#request(`$JS.API.DIRECT.GET.KV_${this.#name}.${subject}`, noBytes)
    const { headers: found } = answer
    if (found === undefined)
      throw new HeraldError('ERR_LATTICE_STORAGE', `get from ${this.#name}: an answer without headers`)
    if (found.code === 404) return undefined
    if (found.code !== 0) {
      throw new HeraldError('ERR_LATTICE_STORAGE', `get from ${this.#name}: ${found.description.slice(0, 200)}`)
    }
    return { value: answer.data, revision: Number(found.get('Nats-Sequence')), deleted: found.has('KV-Operation') }
  }

  /** Of a bucket that was made without direct access. */
  async #getFromLeader(subject: string): Promise<Found | undefined> {
    const payload = Buffer.from(JSON.stringify({ last_by_subj: subject }))
    const answer = await this.#request(`$JS.API.STREAM.MSG.GET.KV_${this.#name}`, payload)
    const { message, error } = parse(answer.data)
    if (error?.code === 404) return undefined
    if (error !== undefined || message === undefined) throw refused(`get from ${this.#name}`, error)
    const head = Buffer.from(message.hdrs ?? '', 'base64').toString('latin1')
    const deleted = /^KV-Operation:/im.test(head)
    return { value: Buffer.from(message.data ?? '', 'base64'), revision: message.seq, deleted }
  }

  async #request(subject: string, payload: Uint8Array, withHeaders?: ReturnType<typeof headers>): Promise<Msg> {
    try {
      const now = this.#from.requests(timeoutMs)
      const requests = now instanceof Promise ? await now : now
      return await requests.request(subject, payload, { timeoutMs, headers: withHeaders })
    } catch (error) {
      throw fromNatsError(error, `use the bucket ${this.#name}`)
    }
  }
}

type ApiError = { readonly code: number; readonly err_code?: number; readonly description?: string }
type ApiAnswer = {
  readonly error?: ApiError
  readonly message?: { readonly data?: string; readonly hdrs?: string; readonly seq: number }
}

/** `false` for a revision that is not the present one. @throws ERR_LATTICE_STORAGE */
function acknowledged(answer: Msg, what: string): boolean {
  const { error } = parse(answer.data)
  if (error?.err_code === wrongRevision) return false
  if (error !== undefined) throw refused(what, error)
  return true
}

function parse(data: Uint8Array): ApiAnswer {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as ApiAnswer
  } catch (cause) {
    throw new HeraldError('ERR_LATTICE_STORAGE', 'JetStream answered with something that is no JSON', { cause })
  }
}

function refused(what: string, error: ApiError | undefined): HeraldError {
  const description = String(error?.description ?? 'an empty answer').slice(0, 200)
  return new HeraldError('ERR_LATTICE_STORAGE', `${what}: ${description}`, {
    hint: 'check the limits and permissions of the JetStream account',
  })
}
