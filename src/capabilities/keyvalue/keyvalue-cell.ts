import type { CellCapability, CellChannel } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import type { KeyPage } from './bucket.ts'
import type { KeyvalueAnswer, KeyvalueError } from './keyvalue-error.ts'

type Ask = (method: string, payload: readonly unknown[]) => Promise<unknown>

/** `wasi:keyvalue/store#bucket`: a number of the control thread's, and how to ask it. */
class Bucket {
  readonly ask: Ask
  readonly id: number

  constructor(ask: Ask, id: number) {
    this.ask = ask
    this.id = id
  }

  get(key: string): Promise<unknown> {
    return this.ask('get', [this.id, key])
  }

  set(key: string, value: Uint8Array): Promise<unknown> {
    return this.ask('set', [this.id, key, value])
  }

  delete(key: string): Promise<unknown> {
    return this.ask('delete', [this.id, key])
  }

  exists(key: string): Promise<unknown> {
    return this.ask('exists', [this.id, key])
  }

  async listKeys(cursor: bigint | undefined): Promise<KeyPage> {
    return (await this.ask('listKeys', [this.id, cursor])) as KeyPage
  }
}

/** `wasi:keyvalue` in the cell: every call is one question to the control thread, where the connections are. */
export function openCapability(_config: unknown, channel: CellChannel): CellCapability {
  return {
    prepare({ signal }) {
      const ask: Ask = async (method, payload) => {
        let answer: KeyvalueAnswer
        try {
          answer = (await channel.request(method, payload, { signal })) as KeyvalueAnswer
        } catch (error) {
          signal.throwIfAborted()
          const busy: KeyvalueError = { tag: 'other', val: 'the host could not be asked: try again' }
          throw new GuestFailure(busy, { cause: error })
        }
        if ('error' in answer) throw new GuestFailure(answer.error)
        return answer.ok
      }
      return {
        'wasi:keyvalue/store': {
          Bucket,
          open: async (identifier: string) => new Bucket(ask, (await ask('open', [identifier])) as number),
        },
        'wasi:keyvalue/atomics': {
          increment: (bucket: Bucket, key: string, delta: bigint) => ask('increment', [bucket.id, key, delta]),
        },
        'wasi:keyvalue/batch': {
          getMany: async (bucket: Bucket, keys: readonly string[]) => {
            const values = (await ask('getMany', [bucket.id, keys])) as (Uint8Array | undefined)[]
            return values.map((value, index) => (value === undefined ? undefined : [keys[index], value]))
          },
          setMany: (bucket: Bucket, pairs: readonly unknown[]) => ask('setMany', [bucket.id, pairs]),
          deleteMany: (bucket: Bucket, keys: readonly string[]) => ask('deleteMany', [bucket.id, keys]),
        },
      }
    },
  }
}
