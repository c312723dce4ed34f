import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { StandInRequest } from './http-stand-in.ts'

/** What an `Authorization: AWS4-HMAC-SHA256 …` header says. */
export type SigV4Claim = {
  readonly accessKeyId: string
  readonly date: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

/** `undefined` when there is none, or it is not SigV4. */
export function readSigV4(authorization: string | undefined): SigV4Claim | undefined {
  const match =
    /^AWS4-HMAC-SHA256 +Credential=([^/]+)\/(\d{8})\/([\w-]+)\/([\w-]+)\/aws4_request, *SignedHeaders=([\w;-]+), *Signature=([0-9a-f]{64})$/.exec(
      authorization ?? '',
    )
  if (match === null) return undefined
  const [, accessKeyId, date, region, service, signedHeaders, signature] = match as unknown as string[]
  return {
    accessKeyId: accessKeyId!,
    date: date!,
    region: region!,
    service: service!,
    signedHeaders: signedHeaders!.split(';'),
    signature: signature!,
  }
}

/**
 * Recomputes the signature from the request as it arrived and the secret, as "Signature Version 4 signing process" in the AWS General
 * Reference describes it. Written apart from the SDK that signs, so that neither can hide the other's mistake. Not for S3, whose paths are
 * encoded once instead of twice.
 */
export function isSignedWith(secretAccessKey: string, claim: SigV4Claim, request: StandInRequest): boolean {
  const timestamp = header(request, 'x-amz-date')
  if (!timestamp.startsWith(claim.date) || !claim.signedHeaders.includes('host')) return false
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`
  const stringToSign = ['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonicalRequest(claim, request))].join('\n')
  let key: Buffer = Buffer.from(`AWS4${secretAccessKey}`)
  for (const part of [claim.date, claim.region, claim.service, 'aws4_request', stringToSign]) {
    key = createHmac('sha256', key).update(part).digest()
  }
  return timingSafeEqual(key, Buffer.from(claim.signature, 'hex'))
}

function canonicalRequest(claim: SigV4Claim, request: StandInRequest): string {
  const [path = '/', query = ''] = request.target.split('?', 2)
  return [
    request.method,
    path.split('/').map(encode).join('/'),
    canonicalQuery(query),
    ...claim.signedHeaders.map((name) => `${name}:${header(request, name).trim().replace(/ +/g, ' ')}`),
    '',
    claim.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n')
}

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function header(request: StandInRequest, name: string): string {
  return [request.headers[name] ?? ''].flat().join(',')
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
