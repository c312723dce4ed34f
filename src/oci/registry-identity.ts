import { HeraldError } from '../errors/herald-error.ts'
import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { OciCredentialSource } from './oci-credentials.ts'

/** How the JWT-SVID of this process is shown to one registry's token service. */
export type RegistryIdentity = {
  /** `aud` of the SVID. */
  readonly audience: string
  /** The token service's address; without it only one of the registry's own origin sees the SVID. */
  readonly tokenService: URL | undefined
  /** The one `service` of which tokens are asked for; without it the one that the registry names. */
  readonly service: string | undefined
  /** `refresh-token`: distribution's OAuth 2, the SVID as identity token. `token-exchange`: RFC 8693. */
  readonly grant: 'refresh-token' | 'token-exchange'
}

/** The SVIDs of this process. */
export type OwnSvids = {
  /** Verified, and valid now. @throws ERR_SVID_… · ERR_SPIRE_… */
  fetchJwtSvid(audience: string, options: { signal: AbortSignal }): Promise<JwtSvid>
  /** Called when a JWT-SVID that was held is one no more, since the authority takes it back. */
  onRevoked(listener: () => void): void
}

/**
 * What stands after `REGISTRY=`: `AUDIENCE[,token-service=URL][,service=NAME][,grant=refresh-token|token-exchange]`.
 * @throws ERR_OCI_IDENTITY_INVALID
 */
export function parseRegistryIdentity(registry: string, text: string): RegistryIdentity {
  const refuse = (why: string): never => {
    throw new HeraldError('ERR_OCI_IDENTITY_INVALID', `--registry-identity ${JSON.stringify(registry)}: ${why}`, {
      hint: 'write REGISTRY=AUDIENCE[,token-service=URL][,service=NAME][,grant=refresh-token|token-exchange]',
    })
  }
  if (!/^[a-z0-9.-]+(:\d{1,5})?$/.test(registry)) refuse('not host[:port] as in references to images')
  const [audience = '', ...settings] = text.split(',')
  if (!/^[\x21-\x7e]{1,512}$/.test(audience)) refuse('the audience is missing, or not of printable characters')
  const given = new Map<string, string>()
  for (const setting of settings) {
    const [, name = '', value = ''] = /^(token-service|service|grant)=([\x21-\x7e]+)$/.exec(setting) ?? []
    if (name === '' || given.has(name)) refuse(`${JSON.stringify(setting)} is not understood, or is there twice`)
    given.set(name, value)
  }
  const grant = given.get('grant') ?? 'refresh-token'
  if (grant !== 'refresh-token' && grant !== 'token-exchange') return refuse(`the grant ${JSON.stringify(grant)}`)
  const address = given.get('token-service')
  const tokenService = address === undefined ? undefined : (URL.parse(address) ?? refuse('token-service is no URL'))
  if (tokenService !== undefined && !isPlainAddress(tokenService)) {
    refuse('token-service is https://…, or http://… for a registry without TLS, with neither user, query nor fragment')
  }
  return { audience, tokenService, service: given.get('service'), grant }
}

function isPlainAddress({ protocol, username, password, search, hash }: URL): boolean {
  return /^https?:$/.test(protocol) && [username, password, search, hash].every((part) => part === '')
}

/**
 * Credentials of the registries that take this process's SVID; every other registry is `others`' matter, and one of these never is: when
 * there is no SVID the pull fails, rather than go on as somebody else.
 */
export function createIdentityCredentials({
  registries,
  svids,
  others,
}: {
  /** By host as in references (`ghcr.io`, `localhost:5000`). */
  readonly registries: ReadonlyMap<string, RegistryIdentity>
  readonly svids: OwnSvids
  readonly others: OciCredentialSource
}): OciCredentialSource {
  let held = new AbortController()
  svids.onRevoked(() => {
    held.abort()
    held = new AbortController()
  })
  return {
    async find(registry, { signal }) {
      const identity = registries.get(registry)
      if (identity === undefined) return others.find(registry, { signal })
      const svid = ({ signal }: { signal: AbortSignal }) => svids.fetchJwtSvid(identity.audience, { signal })
      const { spiffeId } = await svid({ signal })
      return { kind: 'svid', spiffeId, identity, svid, revoked: held.signal }
    },
  }
}
