import { HeraldError } from '../errors/herald-error.ts'

/** The name of a trust domain, without scheme: `example.org`. Only {@link parseTrustDomain} makes one. SPIFFE-ID §2.1. */
export type TrustDomain = string & { readonly __brand: 'TrustDomain' }

/** SPIFFE-ID §2.3: the longest trust domain name, bytes. */
const maxTrustDomainBytes = 255

/**
 * Accepts `example.org` and, as SPIFFE bundles are keyed, `spiffe://example.org`.
 * @throws ERR_TRUST_DOMAIN_INVALID
 */
export function parseTrustDomain(text: string): TrustDomain {
  const name = text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text
  if (name === '') throw invalid(text, 'it is empty')
  if (name.length > maxTrustDomainBytes) throw invalid(text, `it is longer than ${maxTrustDomainBytes} bytes`)
  if (!/^[a-z0-9._-]+$/.test(name)) throw invalid(text, 'only lowercase letters, digits, ".", "-" and "_" are allowed')
  return name as TrustDomain
}

function invalid(text: string, why: string): HeraldError {
  return new HeraldError(
    'ERR_TRUST_DOMAIN_INVALID',
    `${JSON.stringify(text.slice(0, 300))} is no trust domain: ${why}`,
    {
      hint: 'write it like example.org',
    },
  )
}
