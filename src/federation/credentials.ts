import { inspect } from 'node:util'

/** What a relying party gave in exchange for an identity. Bearer credentials, all of them. */
export type CredentialSecret =
  | {
      readonly kind: 'aws'
      readonly accessKeyId: string
      readonly secretAccessKey: string
      readonly sessionToken: string
      readonly region: string
    }
  | { readonly kind: 'bearer'; readonly token: string }
  /** Fields of a secret that the party keeps: user name, password. */
  | { readonly kind: 'fields'; readonly fields: Readonly<Record<string, string>> }

/** Credentials and until when they hold. Printing, inspecting or serialising the value never shows the secret: {@link Credentials.reveal} does. */
export class Credentials {
  readonly kind: CredentialSecret['kind']
  readonly expiresAt: Date
  readonly #secret: CredentialSecret

  constructor(secret: CredentialSecret, expiresAt: Date) {
    this.kind = secret.kind
    this.expiresAt = expiresAt
    this.#secret = secret
  }

  reveal(): CredentialSecret {
    return this.#secret
  }

  toJSON(): object {
    return { kind: this.kind, expiresAt: this.expiresAt }
  }

  [inspect.custom](): string {
    return `Credentials(${this.kind}, until ${this.expiresAt.toISOString()})`
  }
}

/** Credentials that the party can take back before they expire. */
export interface Lease {
  /** The same credentials, for longer. @throws ERR_FEDERATION_REFUSED when the lease has ended or was revoked: exchange anew. */
  renew(options: { signal: AbortSignal }): Promise<Credentials>
  /** Ends them now. */
  revoke(options: { signal: AbortSignal }): Promise<void>
}

export type Exchanged = { readonly credentials: Credentials; readonly lease: Lease | undefined }
