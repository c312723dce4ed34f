import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { HeraldError } from '../errors/herald-error.ts'
import type { ImageReference } from './image-reference.ts'
import type { ImagePullPolicy } from './workload.ts'

/** A component's bytes, and the digest that was computed from what was read, not from what anybody claims. */
export type Image = {
  readonly bytes: Uint8Array
  /** `sha256:<hex>`: of the manifest pulled from a registry, or of the bytes of a file. */
  readonly digest: string
}

/** Image reference → bytes. The one place that decides which kinds of image a host runs. */
export interface ImageSource {
  /**
   * `pullPolicy`: of the component, for registry images; default: the source's own rule.
   * @throws ERR_IMAGE_NOT_FOUND, ERR_IMAGE_TOO_LARGE, ERR_IMAGE_PULL_UNSUPPORTED, ERR_OCI_…
   */
  fetch(
    image: ImageReference,
    options: { readonly signal: AbortSignal; readonly pullPolicy?: ImagePullPolicy | undefined },
  ): Promise<Image>
}

/** Default for the largest component, bytes: JavaScript components are 14 MB, Python ones about 40 MB. */
const defaultMaxBytes = 256 * 1024 * 1024

/** Serves `file://` images only; registries are refused. `maxBytes`: the largest file accepted, default 256 MiB. */
export function createFileImageSource({ maxBytes = defaultMaxBytes }: { maxBytes?: number } = {}): ImageSource {
  return {
    async fetch(image, { signal }) {
      if (image.kind === 'registry') {
        throw new HeraldError('ERR_IMAGE_PULL_UNSUPPORTED', `${image.reference} stands in a registry`, {
          hint: 'put the .wasm beside the manifest and write image: file://NAME.wasm',
        })
      }
      const bytes = await readBounded(image.path, maxBytes, signal)
      return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` }
    },
  }
}

/** Reads at most `maxBytes` even when the file grows meanwhile, and only a regular file, so that no pipe or device can hang the host. */
async function readBounded(path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  // Without O_NONBLOCK, opening a named pipe waits for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    throw new HeraldError('ERR_IMAGE_NOT_FOUND', `cannot read ${path}: ${cause.code ?? cause.message}`, {
      hint: 'build the component, or correct the path (file:// paths are relative to the manifest)',
      cause,
    })
  })
  await using _ = file
  const stat = await file.stat()
  if (!stat.isFile()) {
    throw new HeraldError('ERR_IMAGE_NOT_FOUND', `${path} is not a regular file`, { hint: 'name a .wasm file' })
  }
  if (stat.size > maxBytes) {
    throw new HeraldError('ERR_IMAGE_TOO_LARGE', `${path} has ${stat.size} bytes, more than the ${maxBytes} accepted`, {
      hint: 'strip debug information, or raise the limit',
    })
  }
  signal.throwIfAborted()
  const bytes = Buffer.alloc(stat.size)
  let length = 0
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length)
    signal.throwIfAborted()
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}
