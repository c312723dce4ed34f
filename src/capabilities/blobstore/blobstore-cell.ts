import type { CellCapability, CellChannel, InstanceContext, InstanceStreams } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import { pieceBytes } from './blob-container.ts'
import type { BlobstoreAnswer, BlobstoreCellConfig } from './blobstore-binding.ts'
import type { OpenedReading } from './open-objects.ts'

type Ask = (method: string, payload: readonly unknown[]) => Promise<unknown>
type ObjectId = { readonly container: string; readonly object: string }

/** `wasi:blobstore` in the cell: objects pass through it a piece at a time; containers are where the control thread says. */
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
      /** Ids of objects that the control thread holds open for this instance. */
      const open = new Set<string>()
      const abandon = (id: string): void => {
        if (!open.delete(id)) return
        // The instance may be gone by then, so not with its signal; what is not told is closed once it is idle.
        channel.request('abandon', [id], { signal: AbortSignal.timeout(5_000) }).catch(() => {})
      }
      signal.addEventListener('abort', () => open.forEach(abandon), { once: true })
      return blobstoreOfInstance({ ask, streams: streams!, maxObjectBytes, open, abandon })
    },
  }
}

type InstanceOptions = {
  readonly ask: Ask
  readonly streams: InstanceStreams
  readonly maxObjectBytes: number
  readonly open: Set<string>
  readonly abandon: (id: string) => void
}

function blobstoreOfInstance({ ask, streams, maxObjectBytes, open, abandon }: InstanceOptions): Record<string, object> {
  /**
   * Stores the body when it is complete: at `finish`, or at `write-data` when the stream was closed before. A body whose name is known while it is
   * written goes out a piece at a time; until the name is known it is held here.
   */
  class OutgoingValue {
    #chunks: Uint8Array[] = []
    #held = 0
    #length = 0
    #body: 'none' | 'open' | 'closed' = 'none'
    #targets: { readonly container: string; readonly name: string }[] = []
    /** One for each target, once the first piece has gone out. */
    #writings: string[] = []
    #sending: Promise<void> | undefined

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
          this.#held += bytes.length
          this.#chunks.push(bytes.slice())
          return this.#held < pieceBytes || this.#targets.length === 0 ? undefined : this.#send()
        },
        close: () => {
          this.#body = 'closed'
        },
      })
    }

    async writeTo(container: string, name: string): Promise<void> {
      if (this.#writings.length > 0) throw new GuestFailure('the value is being written already')
      this.#targets.push({ container, name })
      if (this.#body === 'closed') await this.store()
    }

    /** Sends what is held, in pieces; the streams that are open wait for it. */
    #send(): Promise<void> {
      const sent = this.#sendHeld()
      this.#sending = sent
      return sent
    }

    async #sendHeld(): Promise<void> {
      if (this.#writings.length === 0) {
        for (const { container, name } of this.#targets) {
          const id = (await ask('beginWrite', [container, name])) as string
          open.add(id)
          this.#writings.push(id)
        }
      }
      const bytes = this.#take()
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = bytes.slice(at, at + pieceBytes)
        await Promise.all(this.#writings.map((id) => ask('give', [id, piece])))
      }
    }

    #take(): Uint8Array {
      const bytes = new Uint8Array(this.#held)
      let at = 0
      for (const chunk of this.#chunks) {
        bytes.set(chunk, at)
        at += chunk.length
      }
      this.#chunks = []
      this.#held = 0
      return bytes
    }

    async store(): Promise<void> {
      const targets = this.#targets
      if (targets.length === 0) return
      await this.#sending
      if (this.#writings.length === 0 && this.#held <= pieceBytes) {
        this.#targets = []
        const bytes = this.#take()
        for (const { container, name } of targets) await ask('write', [container, name, bytes])
        return
      }
      await this.#sendHeld()
      this.#targets = []
      const writings = this.#writings
      this.#writings = []
      for (const id of writings) {
        await ask('finish', [id])
        open.delete(id)
      }
    }

    static async finish(value: OutgoingValue): Promise<void> {
      try {
        await value.store()
      } finally {
        value.#drop()
      }
    }

    [Symbol.dispose](): void {
      this.#drop()
    }

    #drop(): void {
      this.#chunks = []
      this.#held = 0
      for (const id of this.#writings) abandon(id)
      this.#writings = []
    }
  }

  class IncomingValue {
    readonly #opened: OpenedReading
    #first: Uint8Array | undefined
    #consumed = false

    constructor(opened: OpenedReading) {
      this.#opened = opened
      this.#first = opened.first
      if (opened.id !== undefined) open.add(opened.id)
    }

    async #next(): Promise<Uint8Array | undefined> {
      const first = this.#first
      this.#first = undefined
      if (first !== undefined) return first
      const { id } = this.#opened
      if (id === undefined || !open.has(id)) return undefined
      const piece = (await ask('next', [id])) as Uint8Array | undefined
      if (piece === undefined) open.delete(id)
      return piece
    }

    static async incomingValueConsumeSync(value: IncomingValue): Promise<Uint8Array> {
      const { size } = value.#opened
      value.#consumed = true
      if (size > maxObjectBytes) {
        value.#close()
        throw new GuestFailure(`more than ${maxObjectBytes} bytes cannot be had at once: read them as a stream`)
      }
      const bytes = new Uint8Array(size)
      let at = 0
      for (let piece = await value.#next(); piece !== undefined; piece = await value.#next()) {
        bytes.set(piece, at)
        at += piece.length
      }
      if (at < size) throw new GuestFailure('the object ended before its size')
      return bytes
    }

    static incomingValueConsumeAsync(value: IncomingValue): object {
      value.#consumed = true
      return streams.input({ read: () => value.#next(), close: () => value.#close() })
    }

    size(): bigint {
      return BigInt(this.#opened.size)
    }

    [Symbol.dispose](): void {
      if (!this.#consumed) this.#close()
    }

    #close(): void {
      this.#first = undefined
      if (this.#opened.id !== undefined) abandon(this.#opened.id)
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
      return new IncomingValue((await ask('read', [this.#name, name, from, to])) as OpenedReading)
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
