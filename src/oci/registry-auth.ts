import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import { isLocalAddress, isLoopbackHost } from './loopback.ts'
import type { OciCredentials } from './oci-credentials.ts'
import type { RegistryIdentity } from './registry-identity.ts'

/** One challenge of a `WWW-Authenticate` header, RFC 9110 §11.6.1. */
export type AuthChallenge = { readonly scheme: string; readonly parameters: Readonly<Record<string, string>> }

/** Reads all challenges of a header; what does not follow the grammar ends the list. */
export function parseChallenges(header: string): AuthChallenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = []
  const token = /[\s,]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)/y
  const parameter = /\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9!#$%&'*+.^_`|~:/?=-]+))/y
  for (let at = 0; at < header.length; ) {
    token.lastIndex = at
    const name = token.exec(header)?.[1]
    if (name === undefined) break
    parameter.lastIndex = token.lastIndex
    const value = parameter.exec(header)
    const current = challenges.at(-1)
    if (value !== null && current !== undefined) {
      current.parameters[name.toLowerCase()] = value[1]?.replace(/\\(.)/g, '$1') ?? value[2] ?? ''
      at = parameter.lastIndex
    } else {
      challenges.push({ scheme: name.toLowerCase(), parameters: {} })
      at = token.lastIndex
    }
  }
  return challenges
}

const tokenAnswer = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().positive().optional(),
})

export type RegistryToken = {
  readonly authorization: string
  readonly expiresAtMs: number
  /** Not to be used from when it aborts. */
  readonly revoked?: AbortSignal
}

export type TokenRequest = {
  readonly challenge: AuthChallenge
  /** `repository:owner/name:pull`. */
  readonly scope: string
  readonly credentials: OciCredentials | undefined
  /** What is being asked for, for errors. */
  readonly what: string
  /** The registry's own origin. */
  readonly registryOrigin: string
  readonly nowMs: number
  readonly signal: AbortSignal
}

/**
 * Answers a challenge: Basic with the credentials themselves, Bearer with a token from the realm it names (distribution's "Token
 * Authentication", with OAuth 2 for identity tokens). The realm is usually another host than the registry; it gets the
 * credentials only over HTTPS, or when the registry itself is spoken to in plain; and an SVID only if it is the token service that was
 * configured, or of the registry's own origin.
 * @throws ERR_OCI_UNAUTHORIZED, ERR_OCI_REDIRECT_REFUSED; of an SVID ERR_OCI_TOKEN_SERVICE_UNKNOWN and the source's errors; from `send`, the errors of a registry
 */
export async function answerChallenge(
  { challenge, scope, credentials, what, registryOrigin, nowMs, signal }: TokenRequest,
  send: (url: URL, init: { method: string; headers: Record<string, string>; body?: string }) => Promise<Response>,
): Promise<RegistryToken> {
  if (challenge.scheme === 'basic') {
    if (credentials?.kind !== 'basic') throw unauthorized(what, 'the registry wants a user name and a password')
    return { authorization: basic(credentials), expiresAtMs: Number.POSITIVE_INFINITY }
  }
  const realm = parseRealm(challenge.parameters.realm, registryOrigin, what)
  const service = challenge.parameters.service
  const asked = { scope, ...(service !== undefined && { service }) }
  const post = (address: URL, form: Record<string, string>) =>
    send(address, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...form, ...asked, client_id: 'herald' }).toString(),
    })
  let usableUntilMs = Number.POSITIVE_INFINITY
  let response: Response
  if (credentials?.kind === 'svid') {
    checkTokenService(realm, service, credentials.identity, registryOrigin, what)
    const svid = await credentials.svid({ signal })
    usableUntilMs = svid.expiresAt.getTime()
    response = await post(realm, grantForm(credentials.identity, svid.reveal(), service))
  } else if (credentials?.kind === 'identity-token') {
    response = await post(realm, { grant_type: 'refresh_token', refresh_token: credentials.token })
  } else {
    const headers: Record<string, string> = credentials === undefined ? {} : { authorization: basic(credentials) }
    response = await send(withQuery(realm, asked), { method: 'GET', headers })
  }
  const parsed = tokenAnswer.safeParse(await response.json().catch(() => undefined))
  const token = parsed.data?.token ?? parsed.data?.access_token
  if (token === undefined || !/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw new HeraldError('ERR_OCI_REGISTRY_FAILED', `${what}: ${realm.host} gave no usable token`, {
      hint: 'look at the state of the registry’s token service',
    })
  }
  // The specification's default is 60 s; the last tenth is not used, so that a token does not end on the way.
  return {
    authorization: `Bearer ${token}`,
    expiresAtMs: Math.min(usableUntilMs, nowMs + (parsed.data?.expires_in ?? 60) * 900),
    ...(credentials?.kind === 'svid' && { revoked: credentials.revoked }),
  }
}

/** Who asks for a token of `service` must not be sent elsewhere by a registry, nor be made to ask for a token of another one. */
function checkTokenService(
  realm: URL,
  service: string | undefined,
  { tokenService, ...expected }: RegistryIdentity,
  registryOrigin: string,
  what: string,
): void {
  const refuse = (why: string, hint: string): never => {
    throw new HeraldError('ERR_OCI_TOKEN_SERVICE_UNKNOWN', `${what}: the registry wants ${why}`, { hint })
  }
  const known = tokenService === undefined ? realm.origin === registryOrigin : realm.href === tokenService.href
  if (!known) {
    refuse(
      `this host’s SVID sent to ${realm.origin}${realm.pathname}`.slice(0, 300),
      'if that is its token service, say so: --registry-identity REGISTRY=AUDIENCE,token-service=URL',
    )
  }
  if (expected.service !== undefined && service !== expected.service) {
    refuse(
      `a token of the service ${JSON.stringify((service ?? '').slice(0, 100))}`,
      `${JSON.stringify(expected.service)} was expected by --registry-identity`,
    )
  }
}

function grantForm({ grant }: RegistryIdentity, token: string, service: string | undefined): Record<string, string> {
  switch (grant) {
    case 'refresh-token':
      return { grant_type: 'refresh_token', refresh_token: token }
    case 'token-exchange':
      return {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: token,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        ...(service !== undefined && { audience: service }),
      }
  }
}

function parseRealm(text: string | undefined, registryOrigin: string, what: string): URL {
  const realm = text === undefined ? null : URL.parse(text)
  if (realm === null || realm.username !== '' || realm.password !== '') {
    throw new HeraldError('ERR_OCI_REGISTRY_FAILED', `${what}: the registry asks for a token without a proper realm`, {
      hint: 'check that the host is a container registry',
    })
  }
  const registry = new URL(registryOrigin)
  const plainAllowed = realm.protocol === 'http:' && registry.protocol === 'http:'
  const localAllowed = isLoopbackHost(registry.host) || !isLocalAddress(realm.host)
  if (!(realm.protocol === 'https:' || plainAllowed) || !localAllowed) {
    throw new HeraldError(
      'ERR_OCI_REDIRECT_REFUSED',
      `${what}: the registry sends credentials to ${realm.protocol}//${realm.host}`,
      {
        hint: 'a token service must be reached over https and may not be an address of this machine',
      },
    )
  }
  return realm
}

function withQuery(url: URL, query: Record<string, string>): URL {
  const copy = new URL(url)
  for (const [name, value] of Object.entries(query)) copy.searchParams.set(name, value)
  return copy
}

function basic(credentials: Extract<OciCredentials, { kind: 'basic' }>): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
}

function unauthorized(what: string, why: string): HeraldError {
  return new HeraldError('ERR_OCI_UNAUTHORIZED', `${what}: ${why}`, {
    hint: 'give the workload an imagePullSecret, or docker login on this host',
  })
}
