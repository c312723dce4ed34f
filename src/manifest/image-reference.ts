import { resolve } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'

/** Where a component's bytes come from. Only {@link parseImageReference} makes one. */
export type ImageReference =
  | {
      readonly kind: 'file'
      /** As written in the manifest. */
      readonly reference: string
      /** Absolute path. */
      readonly path: string
    }
  | {
      readonly kind: 'registry'
      /** As written in the manifest. */
      readonly reference: string
      /** `ghcr.io`, `localhost:5000`. */
      readonly registry: string
      /** `owner/name`. */
      readonly repository: string
      /** Default `latest` when there is neither tag nor digest. */
      readonly tag: string | undefined
      /** `sha256:<64 hex>`. */
      readonly digest: string | undefined
    }

// OCI distribution specification, "Pulling manifests": <name> and <reference>.
const repositoryPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const digestPattern = /^sha256:[0-9a-f]{64}$/
const registryPattern =
  /^(?:localhost|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?$/

/**
 * Parses `file://PATH` (relative to `baseDirectory` unless PATH is absolute; `%20` stands for a space as in every URL) or
 * `REGISTRY/REPOSITORY[:TAG][@sha256:…]`. The registry is never guessed: `hello:1` alone is refused.
 * @throws ERR_IMAGE_INVALID
 */
export function parseImageReference(reference: string, baseDirectory: string): ImageReference {
  if (reference.startsWith('file://')) return parseFile(reference, baseDirectory)
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(reference)
  if (scheme !== null) {
    const known =
      scheme[1] === 'oci' ? 'write a registry reference without oci://' : 'use file://PATH or REGISTRY/NAME:TAG'
    throw new HeraldError('ERR_IMAGE_INVALID', `${quote(reference)} has the unknown scheme ${scheme[1]}://`, {
      hint: known,
    })
  }
  return parseRegistry(reference)
}

function parseFile(reference: string, baseDirectory: string): ImageReference {
  let path: string
  try {
    path = decodeURIComponent(reference.slice('file://'.length))
  } catch (cause) {
    throw new HeraldError('ERR_IMAGE_INVALID', `${quote(reference)} has a broken % escape`, {
      hint: 'write % itself as %25',
      cause,
    })
  }
  if (path === '' || path.includes('\0')) {
    throw new HeraldError('ERR_IMAGE_INVALID', `${quote(reference)} names no file`, {
      hint: 'write file:// and a path: file://build/api.wasm (relative to the manifest) or file:///srv/api.wasm',
    })
  }
  return { kind: 'file', reference, path: resolve(baseDirectory, path) }
}

function parseRegistry(reference: string): ImageReference {
  const refuse = (what: string, hint: string) =>
    new HeraldError('ERR_IMAGE_INVALID', `${quote(reference)} ${what}`, { hint })
  const slash = reference.indexOf('/')
  const registry = slash === -1 ? '' : reference.slice(0, slash)
  if (!registryPattern.test(registry)) {
    const looksLikeFile = reference.endsWith('.wasm')
    throw refuse(
      'does not start with a registry',
      looksLikeFile
        ? `for a local file write file://${reference}`
        : 'write the registry too, such as ghcr.io/owner/name:1.0',
    )
  }
  const [named = '', digest, ...more] = reference.slice(slash + 1).split('@')
  const colon = named.indexOf(':')
  const repository = colon === -1 ? named : named.slice(0, colon)
  const tag = colon === -1 ? undefined : named.slice(colon + 1)
  if (!repositoryPattern.test(repository))
    throw refuse('has no valid repository name', 'lower case letters, digits, . _ - and /')
  if (tag !== undefined && !tagPattern.test(tag))
    throw refuse('has no valid tag', 'letters, digits, . _ -, at most 128')
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest))) {
    throw refuse('has no valid digest', 'write @sha256: and 64 lower case hexadecimal digits')
  }
  return {
    kind: 'registry',
    reference,
    registry,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
