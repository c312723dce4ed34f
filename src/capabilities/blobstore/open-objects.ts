import { randomUUID } from 'node:crypto'
import { type BlobReading, BlobRefusal, type NextBytes, pieceBytes } from './blob-container.ts'

/** What a cell gets when it opens an object to read: its first piece, and under which id the others come; without `id` that was all. */
export type OpenedReading = { readonly size: number; readonly first: Uint8Array | undefined; readonly id?: string }

const maxOpen = 256
/** An object that nobody has read from or written to for so long is closed: the guest's cell may have ended. */
const idleMs = 120_000

type Writing = {
  /** Settles when the store has all of it, or none. */
  readonly stored: Promise<void>
  give(bytes: Uint8Array): Promise<void>
  finish(): void
  abort(): void
}
type Opened = (
  | { readonly kind: 'reading'; readonly reading: BlobReading }
  | ({ readonly kind: 'writing' } & Writing)
) & {
  readonly timer: NodeJS.Timeout
}

/** The objects that one component reads or writes a piece at a time. Ids cannot be guessed: a guest that got hold of its cell reaches no other's. */
export class OpenObjects {
  readonly #opened = new Map<string, Opened>()

  async read(reading: BlobReading): Promise<OpenedReading> {
    try {
      const first = compact(await reading.next())
      if ((first?.length ?? 0) < reading.size)
        return { size: reading.size, first, id: this.#add({ kind: 'reading', reading }) }
      await reading.close()
      return { size: reading.size, first }
    } catch (error) {
      await reading.close()
      throw error
    }
  }

  /** `undefined` at the end; then it is closed. */
  async next(id: unknown): Promise<Uint8Array | undefined> {
    const opened = this.#find(id, 'reading')
    try {
      const piece = compact(await opened.reading.next())
      if (piece === undefined) this.abandon(id)
      return piece
    } catch (error) {
      this.abandon(id)
      throw error
    }
  }

  /** @param store writes what it is given until the end */
  write(maxBytes: number, store: (next: NextBytes) => Promise<void>): string {
    return this.#add({ kind: 'writing', ...writing(maxBytes, store) })
  }

  /** Resolves when the store has taken them. */
  async give(id: unknown, bytes: unknown): Promise<void> {
    if (!(bytes instanceof Uint8Array) || bytes.length > 2 * pieceBytes)
      throw new TypeError('wasi:blobstore: a piece is bytes')
    const opened = this.#find(id, 'writing')
    try {
      await opened.give(bytes)
    } catch (error) {
      this.abandon(id)
      throw error
    }
  }

  async finish(id: unknown): Promise<void> {
    const opened = this.#find(id, 'writing')
    opened.finish()
    try {
      await opened.stored
    } finally {
      this.abandon(id)
    }
  }

  /** What is written and not finished does not come to be. */
  abandon(id: unknown): void {
    const opened = this.#opened.get(String(id))
    if (opened === undefined) return
    this.#opened.delete(String(id))
    clearTimeout(opened.timer)
    if (opened.kind === 'reading') void opened.reading.close()
    else opened.abort()
  }

  closeAll(): void {
    for (const id of [...this.#opened.keys()]) this.abandon(id)
  }

  #add(opened: { kind: 'reading'; reading: BlobReading } | ({ kind: 'writing' } & Writing)): string {
    if (this.#opened.size >= maxOpen) {
      if (opened.kind === 'writing') opened.abort()
      throw new BlobRefusal(`more than ${maxOpen} objects cannot be open at once`)
    }
    const id = randomUUID()
    const timer = setTimeout(() => this.abandon(id), idleMs).unref()
    this.#opened.set(id, { ...opened, timer })
    return id
  }

  #find<K extends Opened['kind']>(id: unknown, kind: K): Opened & { readonly kind: K } {
    const opened = this.#opened.get(String(id))
    if (opened?.kind !== kind) throw new BlobRefusal('the object is not open any more')
    opened.timer.refresh()
    return opened as Opened & { readonly kind: K }
  }
}

/** Between threads all of a buffer is copied, however little of it is meant. */
function compact(piece: Uint8Array | undefined): Uint8Array | undefined {
  return piece === undefined || piece.byteLength === piece.buffer.byteLength ? piece : new Uint8Array(piece)
}

/** Hands pieces on from whoever gives them to a store that asks for them: one is on its way, and one may wait. */
function writing(maxBytes: number, store: (next: NextBytes) => Promise<void>): Writing {
  let total = 0
  let end: 'open' | 'finished' | { readonly error: unknown } = 'open'
  let wanted: PromiseWithResolvers<Uint8Array | undefined> | undefined
  let held: { readonly bytes: Uint8Array; readonly taken: PromiseWithResolvers<void> } | undefined
  const fail = (error: unknown): void => {
    if (typeof end === 'string') end = { error }
    wanted?.reject(error)
    held?.taken.reject(error)
    wanted = undefined
    held = undefined
  }
  const stored = store(async () => {
    if (typeof end === 'object') throw end.error
    if (held !== undefined) {
      const { bytes, taken } = held
      held = undefined
      taken.resolve()
      return bytes
    }
    if (end === 'finished') return undefined
    wanted = Promise.withResolvers()
    return wanted.promise
  })
  stored.then(() => fail(new BlobRefusal('the object is stored already')), fail)
  return {
    stored,
    async give(bytes) {
      if (typeof end === 'object') throw end.error
      if (end === 'finished' || held !== undefined) throw new BlobRefusal('pieces are given one after the other')
      total += bytes.length
      if (total > maxBytes) throw new BlobRefusal(`an object is at most ${maxBytes} bytes large`)
      if (wanted !== undefined) {
        wanted.resolve(bytes)
        wanted = undefined
        return
      }
      held = { bytes, taken: Promise.withResolvers() }
      await held.taken.promise
    },
    finish() {
      if (end === 'open') end = 'finished'
      wanted?.resolve(undefined)
      wanted = undefined
    },
    abort: () => fail(new BlobRefusal('the object was given up while it was written')),
  }
}
