import type { CellCapability, CellChannel, InstanceContext, InstanceStreams } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import type { BlobstoreAnswer, BlobstoreCellConfig } from './blobstore-binding.ts'

type Ask = (method: string, payload: readonly unknown[]) => Promise<unknown>
type ObjectId = { readonly container: string; readonly object: string }

/** `wasi:blobstore` in the cell: objects pass through it whole, bounded; containers are where the control thread says. */
export function openCapability(config: unknown, channel: CellChannel): CellCapability {
  const { maxObjectBytes } = config as BlobstoreCellConfig
  return {
    prepare({ signal, streams }: InstanceContext) {
      const ask: Ask = async (method, payload) => {
        let answer: BlobstoreAnswer
        try {
          answer = (await channel.request(method, payload, { signal })) as BlobstoreAnswer
        } catch (error) {
          signal.throwIfAborted()
          throw new GuestFailure('the host could not be asked: try again', { cause: error })
        }
        if ('error' in answer) throw new GuestFailure(answer.error)
        return answer.ok
      }
      return blobstoreOfInstance(ask, streams!, maxObjectBytes)
    },
  }
}

function blobstoreOfInstance(ask: Ask, streams: InstanceStreams, maxObjectBytes: number): Record<string, object> {
  /** Collects the body, and stores it when it is complete: at `finish`, or at `write-data` when the stream was closed before. */
  class OutgoingValue {
    #chunks: Uint8Array[] = []
    #length = 0
    #body: 'none' | 'open' | 'closed' = 'none'
    #targets: { readonly container: string; readonly name: string }[] = []

    static newOutgoingValue(): OutgoingValue {
      return new OutgoingValue()
    }

    outgoingValueWriteBody(): object {
      if (this.#body !== 'none') throw new GuestFailure(undefined)
      this.#body = 'open'
      return streams.output({
        write: (bytes) => {
          if (this.#length + bytes.length > maxObjectBytes)
            throw new Error(`an object is at most ${maxObjectBytes} bytes large`)
          this.#length += bytes.length
          this.#chunks.push(bytes.slice())
        },
        close: () => {
          this.#body = 'closed'
        },
      })
    }

    async writeTo(container: string, name: string): Promise<void> {
      this.#targets.push({ container, name })
      if (this.#body === 'closed') await this.store()
    }

    async store(): Promise<void> {
      const targets = this.#targets
      this.#targets = []
      if (targets.length === 0) return
      const bytes = new Uint8Array(this.#length)
      let at = 0
      for (const chunk of this.#chunks) {
        bytes.set(chunk, at)
        at += chunk.length
      }
      for (const { container, name } of targets) await ask('write', [container, name, bytes])
    }

    static async finish(value: OutgoingValue): Promise<void> {
      await value.store()
      value.#chunks = []
    }

    [Symbol.dispose](): void {
      this.#chunks = []
    }
  }

  class IncomingValue {
    readonly #bytes: Uint8Array

    constructor(bytes: Uint8Array) {
      this.#bytes = bytes
    }

    static incomingValueConsumeSync(value: IncomingValue): Uint8Array {
      return value.#bytes
    }

    static incomingValueConsumeAsync(value: IncomingValue): object {
      return streams.input(value.#bytes)
    }

    size(): bigint {
      return BigInt(this.#bytes.length)
    }
  }

  class StreamObjectNames {
    readonly #names: readonly string[]
    #at = 0

    constructor(names: readonly string[]) {
      this.#names = names
    }

    readStreamObjectNames(length: bigint): [readonly string[], boolean] {
      const names = this.#names.slice(this.#at, this.#move(length))
      return [names, this.#at >= this.#names.length]
    }

    skipStreamObjectNames(count: bigint): [bigint, boolean] {
      const from = this.#at
      return [BigInt(this.#move(count) - from), this.#at >= this.#names.length]
    }

    #move(count: bigint): number {
      this.#at = Math.min(this.#names.length, this.#at + Number(count))
      return this.#at
    }
  }

  class Container {
    readonly #name: string

    constructor(name: string) {
      this.#name = name
    }

    name(): string {
      return this.#name
    }

    async info(): Promise<object> {
      return { name: this.#name, createdAt: seconds((await ask('info', [this.#name])) as number) }
    }

    async getData(name: string, start: bigint, end: bigint): Promise<IncomingValue> {
      // Beyond what a number is exact for there is no object.
      const [from, to] = [start, end].map((offset) => Math.min(Number(offset), Number.MAX_SAFE_INTEGER - 1))
      return new IncomingValue((await ask('read', [this.#name, name, from, to])) as Uint8Array)
    }

    writeData(name: string, data: OutgoingValue): Promise<void> {
      return data.writeTo(this.#name, name)
    }

    async listObjects(): Promise<StreamObjectNames> {
      return new StreamObjectNames((await ask('list', [this.#name])) as string[])
    }

    deleteObject(name: string): Promise<unknown> {
      return ask('delete', [this.#name, [name]])
    }

    deleteObjects(names: readonly string[]): Promise<unknown> {
      return ask('delete', [this.#name, names])
    }

    async hasObject(name: string): Promise<boolean> {
      return (await ask('objectInfo', [this.#name, name])) !== undefined
    }

    async objectInfo(name: string): Promise<object> {
      const found = (await ask('objectInfo', [this.#name, name])) as { size: number; createdAtMs: number } | undefined
      if (found === undefined) throw new GuestFailure('there is no such object')
      return { name, container: this.#name, createdAt: seconds(found.createdAtMs), size: BigInt(found.size) }
    }

    clear(): Promise<unknown> {
      return ask('clear', [this.#name])
    }
  }

  const opened = (method: string) => async (name: string) => {
    await ask(method, [name])
    return new Container(name)
  }
  const both = (method: string) => (from: ObjectId, to: ObjectId) =>
    ask(method, [from.container, from.object, to.container, to.object])
  return {
    'wasi:blobstore/types': { OutgoingValue, IncomingValue },
    'wasi:blobstore/container': { Container, StreamObjectNames },
    'wasi:blobstore/blobstore': {
      createContainer: opened('create'),
      getContainer: opened('open'),
      deleteContainer: (name: string) => ask('remove', [name]),
      containerExists: (name: string) => ask('exists', [name]),
      copyObject: both('copy'),
      moveObject: both('move'),
    },
  }
}

function seconds(ms: number): bigint {
  return BigInt(Math.max(0, Math.floor(ms / 1000)))
}
