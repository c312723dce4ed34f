import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import { isLocalAddress, isLoopbackHost } from './loopback.ts'
import type { OciCredentials } from './oci-credentials.ts'

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

export type RegistryToken = { readonly authorization: string; readonly expiresAtMs: number }

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
}

/**
 * Answers a challenge: Basic with the credentials themselves, Bearer with a token from the realm it names (distribution's "Token
 * Authentication", with OAuth 2 for identity tokens). The realm is usually another host than the registry; it gets the
 * credentials only over HTTPS, or when the registry itself is spoken to in plain.
 * @throws ERR_OCI_UNAUTHORIZED, ERR_OCI_REDIRECT_REFUSED and, from `send`, the errors of a registry
 */
export async function answerChallenge(
  { challenge, scope, credentials, what, registryOrigin, nowMs }: TokenRequest,
  send: (url: URL, init: { method: string; headers: Record<string, string>; body?: string }) => Promise<Response>,
): Promise<RegistryToken> {
  if (challenge.scheme === 'basic') {
    if (credentials?.kind !== 'basic') throw unauthorized(what, 'the registry wants a user name and a password')
    return { authorization: basic(credentials), expiresAtMs: Number.POSITIVE_INFINITY }
  }
  const realm = parseRealm(challenge.parameters.realm, registryOrigin, what)
  const service = challenge.parameters.service
  const response = await (credentials?.kind === 'identity-token'
    ? send(realm, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: credentials.token,
          client_id: 'herald',
          scope,
          ...(service !== undefined && { service }),
        }).toString(),
      })
    : send(withQuery(realm, { ...(service !== undefined && { service }), scope }), {
        method: 'GET',
        headers: credentials === undefined ? {} : { authorization: basic(credentials) },
      }))
  const parsed = tokenAnswer.safeParse(await response.json().catch(() => undefined))
  const token = parsed.data?.token ?? parsed.data?.access_token
  if (token === undefined || !/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw new HeraldError('ERR_OCI_REGISTRY_FAILED', `${what}: ${realm.host} gave no usable token`, {
      hint: 'look at the state of the registry’s token service',
    })
  }
  // The specification's default is 60 s; the last tenth is not used, so that a token does not end on the way.
  return { authorization: `Bearer ${token}`, expiresAtMs: nowMs + (parsed.data?.expires_in ?? 60) * 900 }
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
