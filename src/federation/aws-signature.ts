import { createHmac, hash } from 'node:crypto'

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

/** Signs many requests with one set of keys: the key that depends on the day alone is derived once a day. */
export type AwsSigner = {
  /**
   * Headers to add to a request so that it carries an AWS Signature Version 4 (`authorization`, `x-amz-date`, and where they apply
   * `x-amz-security-token` and, for S3, `x-amz-content-sha256`). All given headers are signed. The path is taken as already encoded once.
   */
  sign(request: SignableRequest, nowMs: number): Record<string, string>
}

export function createAwsSigner(
  keys: AwsKeys,
  { region, service }: { readonly region: string; readonly service: string },
): AwsSigner {
  let derived: { readonly day: string; readonly key: Buffer } | undefined

  function signingKey(day: string): Buffer {
    if (derived?.day === day) return derived.key
    let key = hmac(`AWS4${keys.secretAccessKey}`, day)
    for (const part of [region, service, 'aws4_request']) key = hmac(key, part)
    derived = { day, key }
    return key
  }

  return {
    sign(request, nowMs) {
      const stamp = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
      const day = stamp.slice(0, 8)
      const added: Record<string, string> = { 'x-amz-date': stamp }
      if (keys.sessionToken !== undefined) added['x-amz-security-token'] = keys.sessionToken
      if (service === 's3') added['x-amz-content-sha256'] = request.bodySha256

      const signed = Object.entries({ ...request.headers, ...added, host: request.url.host })
        .map(([name, value]) => [name.toLowerCase(), value.trim().replaceAll(/ +/g, ' ')] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
      const signedNames = signed.map(([name]) => name).join(';')
      const canonical = [
        request.method,
        canonicalPath(request.url.pathname, service),
        canonicalQuery(request.url.searchParams),
        ...signed.map(([name, value]) => `${name}:${value}`),
        '',
        signedNames,
        request.bodySha256,
      ].join('\n')

      const scope = `${day}/${region}/${service}/aws4_request`
      const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256Hex(canonical)].join('\n')
      const signature = hmac(signingKey(day), toSign).toString('hex')
      return {
        ...added,
        authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`,
      }
    },
  }
}

/** One request: see {@link AwsSigner.sign}. */
export function signAws(request: SignableRequest, keys: AwsKeys, scope: SigningScope): Record<string, string> {
  return createAwsSigner(keys, scope).sign(request, scope.nowMs)
}

export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data)
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
