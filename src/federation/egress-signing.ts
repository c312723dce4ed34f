import { createHash } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'
import { type AwsSigner, createAwsSigner } from './aws-signature.ts'
import { type Binding, isLoopbackHost, isMetadataHost, loopbackEndpointOf, parseBinding } from './binding.ts'
import type { Credentials } from './credentials.ts'

/** How requests to one origin are signed. */
export type EgressSigning = {
  /** `https://api.example.com:443`, always with its port. */
  readonly origin: string
  /** Where the credentials come from. */
  readonly binding: Binding
  readonly method:
    | { readonly kind: 'bearer' }
    | {
        readonly kind: 'sigv4'
        readonly service: string
        readonly region: string
        readonly payload: 'hashed' | 'unsigned'
      }
}

export type HeaderPairs = readonly (readonly [name: string, value: string])[]

export type HeadToSign = {
  readonly method: string
  readonly path: string
  readonly headers: HeaderPairs
  /** Lowercase hex; absent when the body is streamed. */
  readonly bodySha256: string | undefined
}

/**
 * Strict, from texts: `host` (an origin), `bearer-audience` (the SVID itself is the bearer token) or the keys of a credentials binding, with
 * `sigv4-service` (and `sigv4-region`, default: the binding's region) for `provider: aws`.
 * @throws ERR_FEDERATION_BINDING_INVALID
 */
export function parseEgressSigning(
  name: string,
  {
    host,
    'bearer-audience': audience,
    'sigv4-service': service,
    'sigv4-region': region,
    ...rest
  }: Readonly<Record<string, string>>,
): EgressSigning {
  const url = parseHost(name, host)
  const origin = originOf(url)
  if (audience !== undefined) {
    const other = [
      ...Object.keys(rest),
      ...(service === undefined ? [] : ['sigv4-service']),
      ...(region === undefined ? [] : ['sigv4-region']),
    ]
    if (other[0] !== undefined) {
      throw invalid(
        name,
        `it has ${JSON.stringify(other[0].slice(0, 80))} beside "bearer-audience"`,
        'Keep one of them.',
      )
    }
    return { origin, binding: parseBinding(name, { provider: 'jwt-svid', audience }), method: { kind: 'bearer' } }
  }
  if (rest.provider === undefined) {
    throw invalid(
      name,
      'it says neither "bearer-audience" nor "provider"',
      'Give bearer-audience, or the keys of a credentials binding (provider: aws with sigv4-service, gcp, azure, oidc, jwt-svid).',
    )
  }
  const binding = parseBinding(name, rest)
  if (binding.provider === 'vault') {
    throw invalid(name, 'provider vault gives no bearer token', 'Choose aws, gcp, azure, oidc or jwt-svid.')
  }
  if (binding.provider !== 'aws') {
    if (service !== undefined || region !== undefined) {
      throw invalid(name, '"sigv4-service" and "sigv4-region" are for provider aws', 'Remove them.')
    }
    return { origin, binding, method: { kind: 'bearer' } }
  }
  if (service === undefined || !/^[a-z0-9-]{1,64}$/.test(service)) {
    throw invalid(
      name,
      '"sigv4-service" must be the signing name of a service',
      'Write it like s3, bedrock or dynamodb.',
    )
  }
  if (region !== undefined && !/^[a-z0-9-]{1,64}$/.test(region)) {
    throw invalid(
      name,
      '"sigv4-region" must be a region such as us-east-1',
      'Correct it, or leave it to the region of the binding.',
    )
  }
  // Only S3 takes bodies that the signature does not cover, and only TLS can stand in for it.
  const payload = service === 's3' && url.protocol === 'https:' ? 'unsigned' : 'hashed'
  return { origin, binding, method: { kind: 'sigv4', service, region: region ?? binding.region, payload } }
}

/** Whether it leads to this machine itself, with its requests or for its credentials: development hosts alone permit the latter. */
export function loopbackExchangeOf({ binding }: EgressSigning): string | undefined {
  return loopbackEndpointOf(binding)
}

/** Fields that say who asks: the signer's to set. In lower case. Other `x-amz-` fields (x-amz-target, x-amz-acl) are the guest's, and are signed. */
const identityFields: Readonly<Record<EgressSigning['method']['kind'] | 'client-certificate', readonly string[]>> = {
  // Who asks is said by TLS; what a guest says above it is between it and the server.
  'client-certificate': [],
  bearer: ['authorization', 'proxy-authorization'],
  sigv4: ['authorization', 'proxy-authorization', 'x-amz-security-token', 'x-amz-date', 'x-amz-content-sha256'],
}
const signatureParameter = /^x-amz-(algorithm|credential|date|expires|security-token|signature|signedheaders)$/i

/** Why a request must not be sent as the guest wrote it: it brings, or may bring, an identity of its own. */
export function egressRefusalOf(
  { method }: { readonly method: { readonly kind: EgressSigning['method']['kind'] | 'client-certificate' } },
  { path, headers }: { readonly path: string; readonly headers: HeaderPairs },
): string | undefined {
  for (const [rawName] of headers) {
    const name = rawName.toLowerCase()
    if (identityFields[method.kind].includes(name)) return `the guest set ${name}, which the host sets for this origin`
  }
  if (!path.startsWith('/')) return 'a signed request needs a path'
  if (method.kind !== 'sigv4') return undefined
  const query = path.indexOf('?')
  if (query === -1) return undefined
  for (const name of new URLSearchParams(path.slice(query + 1)).keys()) {
    if (signatureParameter.test(name)) return 'the guest brought a signature of its own in the query'
  }
  return undefined
}

/** Makes the fields for requests to one origin from one set of credentials. */
export interface HeadSigner {
  sign(head: HeadToSign, nowMs: number): HeaderPairs
  /** Tells credentials apart; useless as one. SHA-256, 16 hex digits. */
  readonly credentialId: string
}

/** @throws ERR_FEDERATION_ANSWER_INVALID when the credentials are of another kind than the signing needs */
export function createHeadSigner(signing: EgressSigning, credentials: Credentials): HeadSigner {
  const secret = credentials.reveal()
  if (signing.method.kind === 'bearer' && secret.kind === 'bearer') {
    const fields: HeaderPairs = [['authorization', `Bearer ${bearerText(secret.token)}`]]
    return { sign: () => fields, credentialId: idOf(secret.token) }
  }
  if (signing.method.kind === 'sigv4' && secret.kind === 'aws') {
    const signer = createAwsSigner(secret, signing.method)
    return { sign: (head, nowMs) => signHead(signing, signer, head, nowMs), credentialId: idOf(secret.sessionToken) }
  }
  throw new HeraldError('ERR_FEDERATION_ANSWER_INVALID', `${secret.kind} credentials cannot sign these requests`)
}

function signHead(signing: EgressSigning, signer: AwsSigner, head: HeadToSign, nowMs: number): HeaderPairs {
  const base = new URL(signing.origin)
  // Parsed as a whole, so that no path can name another host.
  const url = new URL(`${signing.origin}${head.path.startsWith('/') ? head.path : '/'}`)
  if (url.host !== base.host) throw new HeraldError('ERR_FEDERATION_REFUSED', 'the path leads to another host')
  const covered: Record<string, string> = {}
  for (const [rawName, value] of head.headers) {
    const name = rawName.toLowerCase()
    // Not those that may change on the way; see "SignedHeaders" of Signature Version 4.
    if (!name.startsWith('x-amz-') && name !== 'content-type' && name !== 'content-md5') continue
    covered[name] = covered[name] === undefined ? value : `${covered[name]},${value}`
  }
  const bodySha256 = head.bodySha256 ?? 'UNSIGNED-PAYLOAD'
  return Object.entries(signer.sign({ method: head.method, url, headers: covered, bodySha256 }, nowMs))
}

/** @throws ERR_FEDERATION_ANSWER_INVALID: a token must not become more than one field. */
function bearerText(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new HeraldError('ERR_FEDERATION_ANSWER_INVALID', 'the token given in exchange is no bearer token')
}

function idOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 16)
}

/** The origin that `host` names, always with its port. @throws ERR_FEDERATION_BINDING_INVALID */
export function parseEgressHost(name: string, text: string | undefined): string {
  return originOf(parseHost(name, text))
}

function parseHost(name: string, text: string | undefined): URL {
  const hint = 'Write an origin like https://api.example.com; plain http leads to 127.0.0.1 and localhost only.'
  if (text === undefined) throw invalid(name, '"host" is missing', hint)
  if (!/^https?:\/\/[A-Za-z0-9._:[\]-]+\/?$/.test(text) || !URL.canParse(text))
    throw invalid(name, '"host" is no origin', hint)
  const url = new URL(text)
  if (isMetadataHost(url.hostname)) throw invalid(name, '"host" is where a machine gets its own credentials', hint)
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw invalid(name, '"host" is reached by plain http, and credentials would be in the open', hint)
  }
  return url
}

/** As the outgoing path names origins. */
function originOf(url: URL): string {
  const host = url.hostname.replace(/\.$/, '')
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80'
  return `${url.protocol}//${host}:${port}`
}

function invalid(name: string, what: string, hint: string): HeraldError {
  return new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:egress ${JSON.stringify(name)}: ${what}`, { hint })
}
