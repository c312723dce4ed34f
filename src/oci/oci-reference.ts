import { HeraldError } from '../errors/herald-error.ts'
import { isDigest, type OciDigest } from './oci-digest.ts'

/** Where an artifact is. Made only by {@link parseOciReference}, so every part is safe in a URL path. */
export type OciReference = {
  /** `ghcr.io`, `localhost:5000`, `[::1]:5000`; `docker.io` when none was written. */
  readonly registry: string
  /** `owner/name`; `library/name` for a one-part name on docker.io. */
  readonly repository: string
  /** `latest` when neither tag nor digest was written. */
  readonly tag: string | undefined
  /** Wins over the tag when both are written. */
  readonly digest: OciDigest | undefined
  /** As written. */
  readonly text: string
}

const hostname = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/
const ipv6 = /^\[[0-9a-fA-F:.]{2,45}\]$/
const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/**
 * Reads `[registry/]repository[:tag][@digest]` by the grammar of the distribution project's reference package, with `wash`'s (and
 * docker's) defaults: docker.io, `library/`, `latest`. @throws ERR_OCI_REFERENCE_INVALID
 */
export function parseOciReference(text: string): OciReference {
  const refuse = (why: string, hint = 'write it as registry/repository:tag or registry/repository@sha256:…'): never => {
    throw new HeraldError(
      'ERR_OCI_REFERENCE_INVALID',
      `not an image reference: ${JSON.stringify(text.slice(0, 200))}: ${why}`,
      { hint },
    )
  }
  if (text.length === 0 || text.length > 512)
    refuse(text.length === 0 ? 'it is empty' : 'it is longer than 512 characters')
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(text)
  if (scheme) refuse(`it has the scheme ${scheme[1]}`, 'leave the scheme out: ghcr.io/owner/name:tag')

  const at = text.indexOf('@')
  const named = at === -1 ? text : text.slice(0, at)
  const digest = at === -1 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest))
    refuse('what follows the @ is not sha256: and 64 lowercase hexadecimal digits')

  const slash = named.indexOf('/')
  const first = slash === -1 ? '' : named.slice(0, slash)
  const hasRegistry = first !== '' && (/[.:]/.test(first) || first === 'localhost')
  const registry = hasRegistry ? checkRegistry(first, refuse) : 'docker.io'
  const rest = hasRegistry ? named.slice(slash + 1) : named

  const colon = rest.lastIndexOf(':')
  const tag = colon === -1 ? undefined : rest.slice(colon + 1)
  const path = colon === -1 ? rest : rest.slice(0, colon)
  if (tag !== undefined && !tagPattern.test(tag))
    refuse('the tag may hold letters, digits, _ . - and 128 characters at most')
  for (const component of path.split('/')) {
    if (!pathComponent.test(component))
      refuse(
        `the part ${JSON.stringify(component)} of the repository is not allowed (lower case, digits, and single . _ - between them)`,
      )
  }
  if (path.length > 255) refuse('the repository is longer than 255 characters')
  const repository = registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path
  return {
    registry,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest: digest as OciDigest | undefined,
    text,
  }
}

/** `registry/repository@digest` or, without digest, `registry/repository:tag`: one spelling for one artifact. */
export function canonicalReference({ registry, repository, tag, digest }: OciReference): string {
  return digest === undefined ? `${registry}/${repository}:${tag}` : `${registry}/${repository}@${digest}`
}

function checkRegistry(text: string, refuse: (why: string) => never): string {
  const match = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?$/.exec(text)
  const host = match?.[1] ?? ''
  const port = match?.[2]
  if (!(hostname.test(host) || ipv6.test(host))) refuse(`${JSON.stringify(text)} is not a registry's host name`)
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))
    refuse(`the port ${port} is not between 1 and 65535`)
  const lower = text.toLowerCase()
  return lower === 'index.docker.io' || lower === 'registry-1.docker.io' ? 'docker.io' : lower
}
