import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { HeraldError } from '../errors/herald-error.ts'

/** `sha256:<64 lowercase hex>`; made only by {@link parseDigest} and {@link digestOf}. OCI image spec, descriptor.md, "Digests". */
export type OciDigest = string & { readonly __brand: 'OciDigest' }

/** SHA-256 only: the specification requires it of everyone, and nothing that pushes wasm writes another. @throws ERR_OCI_MANIFEST_INVALID */
export function parseDigest(text: unknown, what: string): OciDigest {
  if (!isDigest(text)) {
    throw new HeraldError(
      'ERR_OCI_MANIFEST_INVALID',
      `${what} is not a SHA-256 digest: ${JSON.stringify(text)?.slice(0, 100)}`,
      { hint: 'a digest looks like sha256: followed by 64 lowercase hexadecimal digits' },
    )
  }
  return text
}

export function isDigest(text: unknown): text is OciDigest {
  return typeof text === 'string' && /^sha256:[0-9a-f]{64}$/.test(text)
}

export function digestOf(bytes: Uint8Array): OciDigest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as OciDigest
}

const sliceBytes = 1024 * 1024

/** The same in slices of about a millisecond: the thread that pulls also sends the heartbeats. */
export async function digestOfLarge(bytes: Uint8Array): Promise<OciDigest> {
  const hash = createHash('sha256')
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    if (at > 0) await setImmediate()
    hash.update(bytes.subarray(at, at + sliceBytes))
  }
  return `sha256:${hash.digest('hex')}` as OciDigest
}

/** The 64 hexadecimal digits: the only part of a digest that is ever used as a file name. */
export function digestHex(digest: OciDigest): string {
  return digest.slice('sha256:'.length)
}
