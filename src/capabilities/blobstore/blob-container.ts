export type ObjectFacts = { readonly size: number; readonly createdAtMs: number }

/** The next bytes of an object; `undefined` at its end. Asked again only once it has answered. */
export type NextBytes = () => Promise<Uint8Array | undefined>

/** An object, or a part of it, while it is read: a little at a time, as fast as it is asked for, of the object as it was when it was opened. */
export interface BlobReading {
  /** Of the part. */
  readonly size: number
  /** At most {@link pieceBytes} at once. @throws BlobRefusal or ERR_… */
  readonly next: NextBytes
  /** Gives back what it holds. Idempotent, never throws. */
  close(): Promise<void>
}

/** One container in a backend. Object names are 1 to 1024 bytes of UTF-8 without NUL. All functions throw BlobRefusal or ERR_…. */
export interface BlobContainer {
  readonly createdAtMs: number
  /** From `start` up to but without `end`, which may lie behind the object's end. */
  read(name: string, range: { start: number; end: number }): Promise<BlobReading | undefined>
  /** Whole or not at all: when `next` throws, nothing of it stays. */
  write(name: string, next: NextBytes): Promise<void>
  info(name: string): Promise<ObjectFacts | undefined>
  delete(name: string): Promise<void>
  /** All of them. @throws BlobRefusal when there are more than {@link maxListed} */
  list(): Promise<string[]>
}

/** Containers of one kind and configuration. Disposal gives back what it holds. */
export interface ContainerSource extends AsyncDisposable {
  /** @param name in the backend: letters, digits, - and _. @returns `undefined` when there is none */
  open(name: string): Promise<BlobContainer | undefined>
  /** Makes it, or opens the one there is. */
  create(name: string): Promise<BlobContainer>
  /** With all that is in it; also when it is not there. */
  remove(name: string): Promise<void>
}

export const maxListed = 100_000

/** What goes from one thread to another at once. */
export const pieceBytes = 256 * 1024

/** A refusal that the guest is to see as it is. */
export class BlobRefusal extends Error {}

/** Of an object of `size` bytes, the part that is asked for. */
export function partOf(size: number, { start, end }: { start: number; end: number }): { from: number; to: number } {
  const from = Math.min(start, size)
  return { from, to: Math.min(Math.max(end, from), size) }
}

/** One piece of bytes, and then the end. */
export function onceOf(bytes: Uint8Array): NextBytes {
  let left: Uint8Array | undefined = bytes
  return async () => {
    const piece = left
    left = undefined
    return piece
  }
}

/** Pieces of any size as pieces of exactly `size` bytes, but for the last one, which may be shorter and is never empty. */
export function inPiecesOf(size: number, next: NextBytes): NextBytes {
  let held: Uint8Array[] = []
  let length = 0
  let ended = false
  return async () => {
    while (!ended && length < size) {
      const bytes = await next()
      if (bytes === undefined) ended = true
      else {
        held.push(bytes)
        length += bytes.length
      }
    }
    if (length === 0) return undefined
    const all = held.length === 1 ? held[0]! : Buffer.concat(held, length)
    const piece = all.subarray(0, size)
    const rest = all.subarray(piece.length)
    held = rest.length === 0 ? [] : [rest]
    length = rest.length
    return piece
  }
}
