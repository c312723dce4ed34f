import { isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Log } from '../../observability/log.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { parseStoreName, storeInBackend } from '../store-name.ts'
import { type BlobContainer, BlobRefusal, type ContainerSource, onceOf } from './blob-container.ts'
import type { BlobstoreEntry } from './blobstore-config.ts'
import { OpenObjects } from './open-objects.ts'

/** What the control thread answers a cell; the guest sees the error as it is. */
export type BlobstoreAnswer = { readonly ok: unknown } | { readonly error: string }

export type BlobstoreCellConfig = { readonly maxObjectBytes: number }

export type BlobstoreBindingOptions = {
  readonly component: ComponentFacts
  /** The entry that serves a container of this name. */
  readonly find: (
    name: string,
  ) => { readonly entry: BlobstoreEntry; readonly source: ContainerSource; readonly named: boolean } | undefined
  /** Of all entries the most. */
  readonly maxObjectBytes: number
  readonly log: Log
  readonly onRelease: () => void
}

type Place = { readonly entry: BlobstoreEntry; readonly source: ContainerSource; readonly inBackend: string }

const maxNameBytes = 1024
const maxBatch = 1000

/** One component's `wasi:blobstore` on the control thread: what the guest says is checked here, whatever the cell let through. */
export class BlobstoreBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'blobstore-cell')
  readonly config: BlobstoreCellConfig
  readonly #options: BlobstoreBindingOptions
  readonly #open = new OpenObjects()
  #released = false

  constructor(options: BlobstoreBindingOptions) {
    this.#options = options
    this.config = { maxObjectBytes: options.maxObjectBytes }
  }

  attach(): void {
    // Nothing is sent to the cells but answers.
  }

  async handle(method: string, payload: unknown): Promise<BlobstoreAnswer> {
    try {
      return { ok: await this.#act(method, payload as readonly unknown[]) }
    } catch (error) {
      if (error instanceof BlobRefusal) return { error: error.message }
      return { error: this.#report(method, error) }
    }
  }

  async #act(method: string, [name, first, second, third]: readonly unknown[]): Promise<unknown> {
    switch (method) {
      case 'next':
        return this.#open.next(name)
      case 'give':
        return this.#open.give(name, first)
      case 'finish':
        return this.#open.finish(name)
      case 'abandon':
        return this.#open.abandon(name)
    }
    const place = this.#place(name)
    switch (method) {
      case 'create': {
        if ((await place.source.open(place.inBackend)) !== undefined)
          throw new BlobRefusal('the container is there already')
        await place.source.create(place.inBackend)
        return undefined
      }
      case 'exists':
        return (await place.source.open(place.inBackend)) !== undefined
      case 'remove':
        return place.source.remove(place.inBackend)
    }
    const container = await this.#container(place)
    switch (method) {
      case 'open':
        return undefined
      case 'info':
        return container.createdAtMs
      case 'read': {
        const reading = await container.read(toName(first), { start: toOffset(second), end: toOffset(third) + 1 })
        if (reading === undefined) throw new BlobRefusal('there is no such object')
        return this.#open.read(reading)
      }
      case 'write':
        return container.write(toName(first), onceOf(toBytes(second, place.entry)))
      case 'beginWrite': {
        const { maxObjectBytes } = place.entry
        return this.#open.write(maxObjectBytes, (next) => container.write(toName(first), next))
      }
      case 'list':
        return container.list()
      case 'delete': {
        if (!Array.isArray(first) || first.length > maxBatch)
          throw new BlobRefusal(`at most ${maxBatch} objects at once`)
        for (const object of first.map(toName)) await container.delete(object)
        return undefined
      }
      case 'objectInfo':
        return container.info(toName(first))
      case 'clear':
        for (const object of await container.list()) await container.delete(object)
        return undefined
      case 'copy':
      case 'move': {
        const target = this.#place(second)
        const [from, to] = [toName(first), toName(third)]
        const into = await this.#container(target)
        const reading = await container.read(from, { start: 0, end: Number.MAX_SAFE_INTEGER })
        if (reading === undefined) throw new BlobRefusal('there is no such object')
        try {
          if (reading.size > target.entry.maxObjectBytes) throw tooLarge(target.entry)
          await into.write(to, reading.next)
        } finally {
          await reading.close()
        }
        const same = target.inBackend === place.inBackend && target.entry === place.entry && from === to
        if (method === 'move' && !same) await container.delete(from)
        return undefined
      }
      default:
        throw new TypeError(`wasi:blobstore has no method ${JSON.stringify(method.slice(0, 40))}`)
    }
  }

  #place(guestName: unknown): Place {
    const name = parseStoreName(guestName)
    const found = name === undefined || this.#released ? undefined : this.#options.find(name)
    if (name === undefined || found === undefined) throw new BlobRefusal('there is no such container')
    const { entry, source, named } = found
    const wanted = named && entry.scope.kind === 'named' ? parseStoreName('') : name
    const inBackend = wanted && storeInBackend(entry.scope, this.#options.component, wanted)
    if (inBackend === undefined) throw new BlobRefusal('there is no such container')
    return { entry, source, inBackend }
  }

  async #container({ source, inBackend }: Place): Promise<BlobContainer> {
    const container = await source.open(inBackend)
    if (container === undefined) throw new BlobRefusal('there is no such container')
    return container
  }

  /** @returns what the guest may know */
  #report(method: string, error: unknown): string {
    const { namespace, workloadName, componentName } = this.#options.component
    const about = { event: 'blobstore.failed', namespace, workload: workloadName, component: componentName, method }
    if (!isHeraldError(error)) {
      this.#options.log.error({ ...about, err: error }, 'a blob store failed')
      return "the store failed: ask the host's operator (ERR_INTERNAL)"
    }
    this.#options.log.warn({ ...about, code: error.code, reason: error.message }, 'a blob store failed')
    switch (error.code) {
      case 'ERR_LATTICE_TIMEOUT':
      case 'ERR_LATTICE_UNREACHABLE':
      case 'ERR_CAPABILITY_UNAVAILABLE':
        return 'the store cannot be reached, or refused: try again later'
      default:
        return `the store failed: ask the host's operator (${error.code})`
    }
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#open.closeAll()
    this.#options.onRelease()
  }
}

function toName(name: unknown): string {
  if (typeof name !== 'string') throw new TypeError('wasi:blobstore: a name is a text')
  if (name.length === 0 || Buffer.byteLength(name) > maxNameBytes || name.includes('\0')) {
    throw new BlobRefusal(`the name of an object is 1 to ${maxNameBytes} bytes long, without NUL`)
  }
  return name
}

function toBytes(bytes: unknown, { maxObjectBytes }: Pick<BlobstoreEntry, 'maxObjectBytes'>): Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('wasi:blobstore: an object is bytes')
  if (bytes.length > maxObjectBytes) throw tooLarge({ maxObjectBytes })
  return bytes
}

function tooLarge({ maxObjectBytes }: Pick<BlobstoreEntry, 'maxObjectBytes'>): BlobRefusal {
  return new BlobRefusal(`an object is at most ${maxObjectBytes} bytes large`)
}

function toOffset(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new TypeError('wasi:blobstore: an offset is a whole number')
  return value
}
