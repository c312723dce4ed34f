import { X509Certificate } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'
import type { TrustDomain } from './trust-domain.ts'

/** Largest bundle that is read, bytes. */
const maxBundleBytes = 16 * 1024 * 1024

/** The certificates with which one trust domain signs X.509-SVIDs. Only {@link parseX509Bundle} makes one. */
export class X509Bundle {
  readonly trustDomain: TrustDomain
  readonly authorities: readonly X509Certificate[]

  constructor(trustDomain: TrustDomain, authorities: readonly X509Certificate[]) {
    this.trustDomain = trustDomain
    this.authorities = authorities
  }

  toPem(): string {
    return this.authorities.map((authority) => authority.toString()).join('')
  }
}

/** @param der certificates in DER, one after the other, as SPIFFE's APIs give them. @throws ERR_X509_BUNDLE_INVALID */
export function parseX509Bundle(trustDomain: TrustDomain, der: Uint8Array): X509Bundle {
  try {
    if (der.length > maxBundleBytes) throw new Error(`it is larger than ${maxBundleBytes} bytes`)
    const authorities = splitCertificates(der).map((each) => new X509Certificate(each))
    if (authorities.some(({ ca }) => !ca)) throw new Error('a certificate in it is no CA')
    return new X509Bundle(trustDomain, authorities)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new HeraldError('ERR_X509_BUNDLE_INVALID', `the X.509 bundle of ${trustDomain} cannot be used: ${why}`)
  }
}

/** Takes apart certificates that stand one after the other: each is a SEQUENCE that says its length. @throws Error */
export function splitCertificates(der: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.byteLength)
  const certificates: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    if (bytes[at] !== 0x30) throw new Error('it is no sequence of certificates')
    const first = bytes[at + 1] ?? 0
    const lengthBytes = first < 0x80 ? 0 : first - 0x80
    if (lengthBytes > 4 || at + 2 + lengthBytes > bytes.length) throw new Error('a certificate in it is cut')
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)
    const end = at + 2 + lengthBytes + length
    if (end > bytes.length) throw new Error('a certificate in it is cut')
    certificates.push(bytes.subarray(at, end))
    at = end
  }
  return certificates
}
