import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import { parseJwtBundle } from '../../spiffe/jwt-bundle.ts'
import { type SpiffeId, spiffeIdOf } from '../../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { factOf, type Selector } from '../selectors.ts'
import type { SvidAuthority, X509Update } from '../svid-authority.ts'
import { serveDiscovery } from './discovery-server.ts'

export type DevelopmentAuthorityOptions = {
  readonly log: Log
  readonly clock: Clock
  /** Whether KUBERNETES_SERVICE_HOST is set: then it refuses to start. */
  readonly inKubernetes: boolean
  /** Must contain the word "development". Default: `development.local`. */
  readonly trustDomain?: string
  /** Loopback port of OIDC discovery; 0 (the default) takes a free one. It is part of the issuer. */
  readonly port?: number
  /** Default: 5 minutes. */
  readonly jwtLifetimeMs?: number
}

export interface DevelopmentAuthority extends SvidAuthority {
  readonly kind: 'development'
  readonly trustDomain: TrustDomain
  /** `http://127.0.0.1:<port>`: the `iss` of every token, and where discovery answers. */
  readonly issuer: string
  readonly jwksUri: string
  /** The SPIFFE ID that a component with these selectors gets: `spiffe://<trust domain>/<lattice>/<component>`. */
  spiffeIdFor(selectors: readonly Selector[]): SpiffeId
}

/**
 * An authority for a laptop: its own trust domain, an ES256 key that lives as long as the process, OIDC discovery on loopback.
 * Every component has an identity. What it issues proves nothing to anybody who was not told to trust it.
 * @throws ERR_DEVELOPMENT_IN_KUBERNETES · ERR_TRUST_DOMAIN_INVALID · ERR_DEVELOPMENT_LISTEN_FAILED
 */
export async function createDevelopmentAuthority(options: DevelopmentAuthorityOptions): Promise<DevelopmentAuthority> {
  const { log, clock, inKubernetes, jwtLifetimeMs = 5 * 60_000, port = 0 } = options
  if (inKubernetes) {
    throw new HeraldError('ERR_DEVELOPMENT_IN_KUBERNETES', 'the development authority does not run in Kubernetes', {
      hint: 'give the host the admin socket of a SPIRE agent',
    })
  }
  const trustDomain = developmentTrustDomain(options.trustDomain ?? 'development.local')
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const publicJwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  const jwks = { keys: [{ ...publicJwk, kid, alg: 'ES256' }] }
  const bundle = parseJwtBundle(trustDomain, JSON.stringify(jwks))
  const server = await serveDiscovery({ port, jwks })
  const startedAt = new Date(clock.nowMs())
  log.warn(
    { event: 'authority.development.started', trustDomain, issuer: server.issuer },
    'development identities only: nobody should trust this issuer outside of this machine',
  )

  const spiffeIdFor = (selectors: readonly Selector[]): SpiffeId => {
    const lattice = factOf(selectors, 'lattice') ?? ''
    const component = factOf(selectors, 'component') ?? ''
    try {
      return spiffeIdOf(trustDomain, lattice, component)
    } catch (cause) {
      throw new HeraldError(
        'ERR_DEVELOPMENT_NAME_UNUSABLE',
        `the names ${JSON.stringify(lattice)} (lattice) and ${JSON.stringify(component)} (component) form no SPIFFE ID`,
        { hint: 'use letters, digits, ".", "-" and "_" only', cause },
      )
    }
  }

  return {
    kind: 'development',
    trustDomain,
    issuer: server.issuer,
    jwksUri: server.jwksUri,
    spiffeIdFor,
    async fetchJwtSvids({ selectors, audiences }, { signal }) {
      signal.throwIfAborted()
      const issuedAtS = Math.floor(clock.nowMs() / 1000)
      const token = await new SignJWT({ aud: [...audiences] })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .setIssuer(server.issuer)
        .setSubject(spiffeIdFor(selectors))
        .setIssuedAt(issuedAtS)
        .setExpirationTime(issuedAtS + Math.ceil(jwtLifetimeMs / 1000))
        .sign(privateKey)
      return [{ token, hint: undefined }]
    },
    async *watchX509({ selectors }, { signal }): AsyncGenerator<X509Update> {
      yield { kind: 'entitled', spiffeIds: [spiffeIdFor(selectors)] }
      // Nothing is ever revoked here.
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    currentJwtBundle: (asked) => (asked === trustDomain ? bundle : undefined),
    async jwtBundle(asked) {
      if (asked === trustDomain) return bundle
      throw new HeraldError('ERR_JWT_BUNDLE_UNKNOWN', `the development authority knows no trust domain ${asked}`)
    },
    status: () => ({ kind: 'ready', since: startedAt, trustDomains: [trustDomain] }),
    async diagnose() {},
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
    },
  }
}

function developmentTrustDomain(name: string): TrustDomain {
  const trustDomain = parseTrustDomain(name)
  if (trustDomain.includes('development')) return trustDomain
  throw new HeraldError('ERR_TRUST_DOMAIN_INVALID', `${trustDomain} does not say "development"`, {
    hint: 'an embedded authority may only use a trust domain with the word "development" in it, like development.local',
  })
}
