import { createClient, RESP_TYPES } from '@redis/client'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { type Bucket, type BucketSource, type KeyPage, pageSize } from './bucket.ts'
import { refuse } from './keyvalue-error.ts'
import { ReplyDeadlines } from './reply-deadlines.ts'

export type RedisServer = {
  /** `redis://host:port/db` or `rediss://…`, without credentials. */
  readonly url: string
  readonly username: string | undefined
  readonly password: string | undefined
}

type Client = ReturnType<typeof createClient>

const connectTimeoutMs = 5_000
const commandTimeoutMs = 5_000
const maxQueued = 10_000
/** Values are bytes; numbers may be larger than JavaScript's. */
const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String }

/** Connections to Redis (or what speaks its protocol), one for each server and user, shared by all workloads with the same. */
export class RedisConnections {
  readonly #log: Log
  readonly #held = new Map<string, { readonly client: Client; users: number }>()
  readonly #deadlines = new ReplyDeadlines(commandTimeoutMs)

  constructor(log: Log) {
    this.#log = log
  }

  /** Resolves once connected. @throws ERR_CAPABILITY_UNAVAILABLE */
  async source(server: RedisServer, prefixOf: (name: string) => string): Promise<BucketSource> {
    const id = JSON.stringify([server.url, server.username, server.password])
    const held = this.#held.get(id) ?? { client: this.#client(server), users: 0 }
    this.#held.set(id, held)
    held.users += 1
    let open = true
    const release = async (): Promise<void> => {
      if (!open) return
      open = false
      if (--held.users > 0) return
      this.#held.delete(id)
      held.client.destroy()
    }
    try {
      if (!held.client.isOpen) await held.client.connect()
    } catch (cause) {
      await release()
      throw unavailable(server, cause)
    }
    return {
      open: async (name) => new RedisBucket((args) => this.#command(held.client, server, args), prefixOf(name)),
      [Symbol.asyncDispose]: release,
    }
  }

  async #command(client: Client, server: RedisServer, args: readonly (string | Buffer)[]): Promise<unknown> {
    try {
      return await this.#deadlines.within(client.sendCommand(args as (string | Buffer)[], { typeMapping }))
    } catch (error) {
      const reason = reasonOf(error)
      if (/^ERR (value is not an integer|increment or decrement)/.test(reason)) {
        throw refuse('the value of this key is not a counter, or would be larger than 9223372036854775807')
      }
      throw unavailable(server, error)
    }
  }

  #client({ url, username, password }: RedisServer): Client {
    let everReady = false
    const client: Client = createClient({
      url,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      name: 'herald',
      commandsQueueMaxLength: maxQueued,
      // What cannot be sent fails at once: the guest decides whether to try again.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: connectTimeoutMs,
        // A server that was there once is tried again without end; the first connection tells at once that it fails.
        reconnectStrategy: (tries, cause) => (everReady ? Math.min(50 * 2 ** Math.min(tries, 6), 2_000) : cause),
      },
    })
    client.on('ready', () => {
      everReady = true
    })
    client.on('error', (error: Error) => {
      this.#log.warn(
        { event: 'keyvalue.redis_failed', server: new URL(url).host, reason: reasonOf(error) },
        'the connection to Redis failed; it is tried again',
      )
    })
    return client
  }
}

function unavailable({ url }: RedisServer, cause: unknown): HeraldError {
  return new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `Redis at ${new URL(url).host}: ${reasonOf(cause)}`, {
    hint: 'check the address, the credentials, and that it is up',
    cause,
  })
}

/** Redis' own words; it never puts values or passwords into them. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error)
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 200)
}

/** Keys of one prefix. */
class RedisBucket implements Bucket {
  readonly #command: (args: readonly (string | Buffer)[]) => Promise<unknown>
  readonly #prefix: string

  constructor(command: (args: readonly (string | Buffer)[]) => Promise<unknown>, prefix: string) {
    this.#command = command
    this.#prefix = prefix
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return ((await this.#command(['GET', this.#prefix + key])) as Buffer | null) ?? undefined
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#command(['SET', this.#prefix + key, toBuffer(value)])
  }

  async delete(key: string): Promise<void> {
    await this.#command(['DEL', this.#prefix + key])
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#command(['EXISTS', this.#prefix + key])) === '1'
  }

  /** A page is what SCAN gives: of any size, also empty, until the cursor ends. */
  async listKeys(cursor: bigint | undefined): Promise<KeyPage> {
    const pattern = `${this.#prefix.replace(/[\\*?[\]^]/g, '\\$&')}*`
    const args = ['SCAN', String(cursor ?? 0n), 'MATCH', pattern, 'COUNT', String(pageSize)]
    const [next, keys] = (await this.#command(args)) as [Buffer, Buffer[]]
    const after = BigInt(next.toString())
    return {
      keys: keys.map((key) => key.toString('utf8').slice(this.#prefix.length)),
      cursor: after === 0n ? undefined : after,
    }
  }

  /** Redis' own counters: decimal text, up to 2^63 - 1. */
  async increment(key: string, delta: bigint): Promise<bigint> {
    if (delta > 9223372036854775807n) throw refuse('a counter of this store ends at 9223372036854775807')
    return BigInt((await this.#command(['INCRBY', this.#prefix + key, String(delta)])) as string)
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return []
    const values = (await this.#command(['MGET', ...keys.map((key) => this.#prefix + key)])) as (Buffer | null)[]
    return values.map((value) => value ?? undefined)
  }

  async setMany(pairs: readonly (readonly [string, Uint8Array])[]): Promise<void> {
    if (pairs.length === 0) return
    await this.#command(['MSET', ...pairs.flatMap(([key, value]) => [this.#prefix + key, toBuffer(value)])])
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.#command(['DEL', ...keys.map((key) => this.#prefix + key)])
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
