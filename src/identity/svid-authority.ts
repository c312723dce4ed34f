import type { HeraldError } from '../errors/herald-error.ts'
import type { JwtBundle } from '../spiffe/jwt-bundle.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { X509Bundle } from '../spiffe/x509-bundle.ts'
import type { X509Svid } from '../spiffe/x509-svid.ts'
import type { Selector } from './selectors.ts'

/** Whoever issues SVIDs: SPIRE, or the embedded development authority. Believes the selectors it is given. */
export interface SvidAuthority extends AsyncDisposable {
  readonly kind: 'spire' | 'development'

  /**
   * One SVID for every entry whose selectors are among those given; at least one. They are not verified yet.
   * While the authority cannot be reached it is tried again, with backoff, until the signal aborts: let it last 35 s or more, since a
   * SPIRE agent that has lost its server answers with what it holds only after up to 30 s.
   * `audiences`: at least one, none empty.
   * @throws ERR_SPIRE_NO_IDENTITY_ISSUED · ERR_SPIRE_HOST_UNREGISTERED · ERR_SPIRE_DELEGATE_UNAUTHORIZED · ERR_SPIRE_WRONG_SOCKET ·
   * ERR_SPIRE_REQUEST_REFUSED · ERR_SPIRE_UNREACHABLE and ERR_SPIRE_ATTESTATION_FAILED once the signal has aborted
   */
  fetchJwtSvids(
    request: { selectors: readonly Selector[]; audiences: readonly string[] },
    options: { signal: AbortSignal },
  ): Promise<readonly IssuedJwtSvid[]>

  /**
   * The SPIFFE IDs that a component with these selectors is entitled to, at once and at every change: what is missing from an update
   * has been revoked, except that the first update after the start or an interruption may come too early and be empty. Reconnects
   * by itself; ends without error when the signal aborts. `withSvids`: also the certificates and keys, from an authority that issues them.
   */
  watchX509(
    request: { selectors: readonly Selector[] },
    options: { signal: AbortSignal; withSvids?: boolean },
  ): AsyncIterable<X509Update>

  /** The keys of a trust domain as last learned; from memory. */
  currentJwtBundle(trustDomain: TrustDomain): JwtBundle | undefined

  /**
   * The keys of a trust domain. Waits, until the signal aborts, for the authority's first answer, and, with `keyId`, for a bundle that
   * holds that key: a token may overtake the bundle when keys rotate.
   * @throws ERR_JWT_BUNDLE_UNKNOWN once the signal has aborted and there is no bundle at all; without the key, the bundle is returned.
   */
  jwtBundle(trustDomain: TrustDomain, options: { signal: AbortSignal; keyId?: string | undefined }): Promise<JwtBundle>

  /**
   * The certificates with which a trust domain signs X.509-SVIDs; absent where the authority has none. Waits for them until the signal aborts.
   * @throws ERR_X509_BUNDLE_UNKNOWN
   */
  x509Bundle?(trustDomain: TrustDomain, options: { signal: AbortSignal }): Promise<X509Bundle>

  /** From memory. */
  status(): AuthorityStatus

  /** Asks now whether this host may act for components. @throws the ERR_SPIRE_… error that says why not. */
  diagnose(options: { signal: AbortSignal }): Promise<void>
}

export type IssuedJwtSvid = {
  /** The compact serialisation: a bearer credential. */
  readonly token: string
  readonly hint: string | undefined
}

export type X509Update =
  | {
      readonly kind: 'entitled'
      readonly spiffeIds: readonly SpiffeId[]
      /** The foreign trust domains whose tokens the component may believe. Default: none. */
      readonly federatesWith?: readonly TrustDomain[]
      readonly svids?: readonly X509Svid[]
    }
  | { readonly kind: 'interrupted'; readonly error: HeraldError }

export type AuthorityStatus =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'ready'; readonly since: Date; readonly trustDomains: readonly TrustDomain[] }
  | { readonly kind: 'unavailable'; readonly since: Date; readonly error: HeraldError }

/** Where the keys of trust domains come from. */
export type JwtBundleSource = Pick<SvidAuthority, 'currentJwtBundle' | 'jwtBundle' | 'status'>
