export type ObjectFacts = { readonly size: number; readonly createdAtMs: number }

/** One container in a backend. Object names are 1 to 1024 bytes of UTF-8 without NUL. All functions throw BlobRefusal or ERR_…. */
export interface BlobContainer {
  readonly createdAtMs: number
  /** From `start` up to but without `end`, which may lie behind the object's end. @throws BlobRefusal for more than `maxBytes` */
  read(name: string, range: { start: number; end: number; maxBytes: number }): Promise<Uint8Array | undefined>
  /** Whole or not at all. */
  write(name: string, bytes: Uint8Array): Promise<void>
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

/** A refusal that the guest is to see as it is. */
export class BlobRefusal extends Error {}

/** Of an object of `size` bytes, the part that is asked for. @throws BlobRefusal */
export function partOf(size: number, { start, end, maxBytes }: { start: number; end: number; maxBytes: number }) {
  const from = Math.min(start, size)
  const to = Math.min(Math.max(end, from), size)
  if (to - from > maxBytes)
    throw new BlobRefusal(`more than ${maxBytes} bytes cannot be read at once: read it in parts`)
  return { from, to }
}
