import { createHash, createHmac } from 'node:crypto'

export type AwsKeys = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
}

export type SignableRequest = {
  readonly method: string
  readonly url: URL
  /** Names lowercase. `host` is taken from the URL. */
  readonly headers: Readonly<Record<string, string>>
  /** Lowercase hex SHA-256 of the body, or `UNSIGNED-PAYLOAD` where the service permits it (S3). */
  readonly bodySha256: string
}

export type SigningScope = { readonly region: string; readonly service: string; readonly nowMs: number }

/**
 * Headers to add to a request so that it carries an AWS Signature Version 4 (`authorization`, `x-amz-date`, and where they apply
 * `x-amz-security-token` and, for S3, `x-amz-content-sha256`). All given headers are signed. The path is taken as already encoded once.
 */
export function signAws(request: SignableRequest, keys: AwsKeys, scope: SigningScope): Record<string, string> {
  const stamp = new Date(scope.nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const day = stamp.slice(0, 8)
  const added: Record<string, string> = { 'x-amz-date': stamp }
  if (keys.sessionToken !== undefined) added['x-amz-security-token'] = keys.sessionToken
  if (scope.service === 's3') added['x-amz-content-sha256'] = request.bodySha256

  const signed = Object.entries({ ...request.headers, ...added, host: request.url.host })
    .map(([name, value]) => [name.toLowerCase(), value.trim().replaceAll(/ +/g, ' ')] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const signedNames = signed.map(([name]) => name).join(';')
  const canonical = [
    request.method,
    canonicalPath(request.url.pathname, scope.service),
    canonicalQuery(request.url.searchParams),
    ...signed.map(([name, value]) => `${name}:${value}`),
    '',
    signedNames,
    request.bodySha256,
  ].join('\n')

  const credentialScope = `${day}/${scope.region}/${scope.service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', stamp, credentialScope, sha256Hex(canonical)].join('\n')
  const key = [day, scope.region, scope.service, 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${keys.secretAccessKey}`,
  )
  const signature = hmac(key, toSign).toString('hex')
  return {
    ...added,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${credentialScope}, SignedHeaders=${signedNames}, Signature=${signature}`,
  }
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

/** Every service but S3 encodes each path segment once more. */
function canonicalPath(pathname: string, service: string): string {
  return service === 's3' ? pathname : pathname.split('/').map(encodeRfc3986).join('/')
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`)
    .sort()
    .join('&')
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
