import type { JwtSvid } from '../spiffe/jwt-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { RegistryIdentity } from './registry-identity.ts'

/** How one asks one registry for access. Never logged, never part of an error. */
export type OciCredentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth 2 refresh token, as credential helpers give with the user name `<token>`. */
  | { readonly kind: 'identity-token'; readonly token: string }
  /** The JWT-SVID of this process, traded at the registry's token service. */
  | {
      readonly kind: 'svid'
      readonly spiffeId: SpiffeId
      readonly identity: RegistryIdentity
      /** A valid one, of the moment. @throws ERR_SVID_… · ERR_SPIRE_… */
      svid(options: { signal: AbortSignal }): Promise<JwtSvid>
      /** Aborts when the authority takes the SVID back, and with it all that was obtained with it. */
      readonly revoked: AbortSignal
    }

/** Where credentials come from when a workload brings none of its own. */
export interface OciCredentialSource {
  /** For one registry host as in references (`ghcr.io`, `localhost:5000`). @throws ERR_OCI_CREDENTIALS_INVALID */
  find(registry: string, options: { signal: AbortSignal }): Promise<OciCredentials | undefined>
}

/** From a workload's `imagePullSecret`; both empty means none was given (ProtoJSON leaves empty strings out). */
export function credentialsOfPullSecret(
  secret: { readonly username: string; readonly password: string } | undefined,
): OciCredentials | undefined {
  if (secret === undefined || (secret.username === '' && secret.password === '')) return undefined
  return { kind: 'basic', username: secret.username, password: secret.password }
}
