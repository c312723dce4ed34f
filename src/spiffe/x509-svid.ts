import { constants, createHash, createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'
import { limitsOf } from './certificate-limits.ts'
import { parseSpiffeId, pathOf, type SpiffeId } from './spiffe-id.ts'

export type X509Signature = { readonly algorithm: string; readonly bytes: Buffer; readonly certificateSha256: Buffer }

/** An X.509-SVID with its key. The key never comes out: {@link X509Svid.sign} uses it. Only {@link parseX509Svid} makes one. */
export class X509Svid {
  readonly spiffeId: SpiffeId
  /** DER, leaf first. */
  readonly certificates: readonly Buffer[]
  /** Of the leaf. */
  readonly expiresAt: Date
  readonly #key: KeyObject

  constructor(spiffeId: SpiffeId, certificates: readonly Buffer[], expiresAt: Date, key: KeyObject) {
    this.spiffeId = spiffeId
    this.certificates = certificates
    this.expiresAt = expiresAt
    this.#key = key
  }

  /** For a TLS connection that this process makes itself; both PEM. The key is a secret. */
  revealForTls(): { cert: string; key: string } {
    const cert = this.certificates.map((der) => new X509Certificate(der).toString()).join('')
    return { cert, key: this.#key.export({ format: 'pem', type: 'pkcs8' }) as string }
  }

  sign(data: Uint8Array): X509Signature {
    const [leaf] = this.certificates
    const certificateSha256 = createHash('sha256').update(leaf!).digest()
    switch (this.#key.asymmetricKeyType) {
      case 'ed25519':
        return { algorithm: 'ed25519', bytes: sign(undefined, data, this.#key), certificateSha256 }
      case 'rsa': {
        const options = {
          key: this.#key,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        }
        return { algorithm: 'rsa-pss-sha256', bytes: sign('sha256', data, options), certificateSha256 }
      }
      default: {
        const hash = hashOfCurve[this.#key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'sha256'
        return { algorithm: `ecdsa-${hash}`, bytes: sign(hash, data, this.#key), certificateSha256 }
      }
    }
  }
}

const hashOfCurve: Readonly<Record<string, string>> = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' }

/**
 * X509-SVID §2, §4: the leaf has exactly one URI SAN, which is the SPIFFE ID, is no CA, and belongs to the key.
 * @param key PKCS#8, DER
 * @throws ERR_X509_SVID_INVALID
 */
export function parseX509Svid(certificates: readonly Buffer[], key: Buffer): X509Svid {
  const [leafDer] = certificates
  if (leafDer === undefined) throw invalid('it has no certificate')
  try {
    const leaf = new X509Certificate(leafDer)
    const spiffeId = spiffeIdOfLeaf(leaf)
    const privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' })
    if (!leaf.checkPrivateKey(privateKey)) throw new Error('its key is not the one of its leaf')
    return new X509Svid(spiffeId, certificates, leaf.validToDate, privateKey)
  } catch (cause) {
    if (cause instanceof HeraldError && cause.code === 'ERR_X509_SVID_INVALID') throw cause
    // Errors of the key's parser may hold what they could not parse.
    throw invalid(isPlain(cause) ? (cause as Error).message : 'it cannot be read')
  }
}

/**
 * X509-SVID §2, §3.1, §5.2: exactly one URI, which is a SPIFFE ID with a path, and nothing that signs certificates.
 * @throws ERR_X509_SVID_INVALID
 */
export function spiffeIdOfLeaf(leaf: X509Certificate): SpiffeId {
  const uris = (leaf.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'))
  const [uri] = uris
  if (uri === undefined || uris.length > 1) throw invalid('its leaf has not exactly one URI')
  if (leaf.ca) throw invalid('its leaf is a CA')
  let spiffeId: SpiffeId
  try {
    const { keyUsage } = limitsOf(leaf)
    if (keyUsage?.signsCertificates || keyUsage?.signsRevocations) throw new Error('its leaf may sign certificates')
    spiffeId = parseSpiffeId(uri.slice('URI:'.length))
  } catch (cause) {
    throw invalid((cause as Error).message)
  }
  if (pathOf(spiffeId) === '') throw invalid('its SPIFFE ID is the trust domain itself')
  return spiffeId
}

function isPlain(error: unknown): boolean {
  return error instanceof Error && !('code' in error)
}

function invalid(why: string): HeraldError {
  return new HeraldError('ERR_X509_SVID_INVALID', `not an X.509-SVID: ${why}`)
}
