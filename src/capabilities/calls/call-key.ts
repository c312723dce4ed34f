import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'

/**
 * The X25519 key from which a host makes the keys of its calls; nobody else ever has it. A JWT-SVID whose audience is {@link callAudience}
 * of the public key says whose calls it seals: such a token is worth nothing to whoever has the token alone.
 */
export class CallKey {
  /** Base64url, 32 bytes. */
  readonly publicKey: string
  readonly #privateKey: KeyObject
  #numbers = 0

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('x25519')
    this.publicKey = publicKey.export({ format: 'jwk' }).x!
    this.#privateKey = privateKey
  }

  get audience(): string {
    return callAudience(this.publicKey)
  }

  /** Never the same twice: of a call, and with the key of its session what its seal depends on. */
  nextNumber(): number {
    return ++this.#numbers
  }

  /** What only the holders of both keys can know. @throws Error for a key that is none, or that would make it known to all */
  agree(theirPublicKey: string): Buffer {
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: theirPublicKey }, format: 'jwk' })
    return diffieHellman({ privateKey: this.#privateKey, publicKey })
  }
}

/** The one audience of tokens for calls: no other program takes them, and here they go with this key only. */
export function callAudience(publicKey: string): string {
  return `herald-calls:2:${publicKey}`
}

export function isCallPublicKey(text: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(text)
}
