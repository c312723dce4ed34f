import { HeraldError } from '../errors/herald-error.ts'
import { parseTrustDomain, type TrustDomain } from './trust-domain.ts'

/** `spiffe://<trust domain>/<path>`. Only {@link parseSpiffeId} makes one. SPIFFE-ID §2. */
export type SpiffeId = string & { readonly __brand: 'SpiffeId' }

/** SPIFFE-ID §2.3: the longest SPIFFE ID that everybody must support, bytes. */
export const maxSpiffeIdBytes = 2048

const scheme = 'spiffe://'

/**
 * No normalisation takes place: what is not written exactly as the standard wants is refused.
 * An ID without a path (the trust domain's own) is accepted.
 * @throws ERR_SPIFFE_ID_INVALID
 */
export function parseSpiffeId(text: string): SpiffeId {
  // Checked first, so that the messages below never quote more than this.
  if (text.length > maxSpiffeIdBytes) throw invalid(text, `it is longer than ${maxSpiffeIdBytes} bytes`)
  if (!text.startsWith(scheme)) throw invalid(text, 'it does not start with "spiffe://"')
  const slash = text.indexOf('/', scheme.length)
  const end = slash === -1 ? text.length : slash
  try {
    parseTrustDomain(text.slice(scheme.length, end))
  } catch (cause) {
    throw invalid(text, (cause as Error).message, cause)
  }
  if (slash === -1) return text as SpiffeId
  for (const segment of text.slice(slash + 1).split('/')) checkSegment(text, segment)
  return text as SpiffeId
}

/** Makes `spiffe://<trustDomain>/<a>/<b>` of path segments. @throws ERR_SPIFFE_ID_INVALID when a segment is not one. */
export function spiffeIdOf(trustDomain: TrustDomain, ...segments: readonly string[]): SpiffeId {
  for (const segment of segments) checkSegment(segments.join('/'), segment)
  return parseSpiffeId(`${scheme}${[trustDomain, ...segments].join('/')}`)
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', scheme.length)
  return id.slice(scheme.length, slash === -1 ? undefined : slash) as TrustDomain
}

/** With its leading slash; empty for the trust domain's own ID. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', scheme.length)
  return slash === -1 ? '' : id.slice(slash)
}

function checkSegment(text: string, segment: string): void {
  if (segment === '') throw invalid(text, 'its path has an empty segment or a trailing slash')
  if (segment === '.' || segment === '..') throw invalid(text, 'its path has a relative segment')
  if (!/^[a-zA-Z0-9._-]+$/.test(segment)) {
    throw invalid(text, 'in a path segment only letters, digits, ".", "-" and "_" are allowed')
  }
}

function invalid(text: string, why: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_SPIFFE_ID_INVALID', `${JSON.stringify(text.slice(0, 300))} is no SPIFFE ID: ${why}`, {
    hint: 'write it like spiffe://example.org/default/api-gateway',
    cause,
  })
}
