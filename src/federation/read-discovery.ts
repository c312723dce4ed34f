import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose'
import { jwtSvidAlgorithms } from '../spiffe/jwt-svid.ts'
import type { DiscoveryFacts, PublishedKey } from './discovery-facts.ts'
import type { ExchangeContext } from './exchange.ts'
import { parseJsonObject } from './exchanges/oauth-answer.ts'
import { sendBounded } from './exchanges/send-bounded.ts'

/** What an issuer publishes, and whether a token's signature fits it. */
export type Published = {
  readonly facts: DiscoveryFacts
  /** undefined when the signature cannot be judged: no keys, or none of the token's. */
  signatureValid(token: string): Promise<boolean | undefined>
}

/**
 * Reads `<issuer>/.well-known/openid-configuration` and the key set it names, as a relying party does (OpenID Connect Discovery §4), but
 * judges nothing: what is wrong with it is for `checkToken` to say. Each answer up to 256 KiB; redirects are not followed.
 * @throws only the signal's reason
 */
export async function readDiscovery(issuer: string, context: ExchangeContext): Promise<Published> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const document = await readJson(url, context)
  if (typeof document === 'string') return unreachable(url, document)
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  const jwksUri = text(document.jwks_uri)
  const named = { kind: 'read', url, issuer: text(document.issuer), jwksUri } as const
  if (jwksUri === undefined || !URL.canParse(jwksUri)) return { facts: { ...named, keys: [] }, signatureValid: unknown }
  const keySet = await readJson(jwksUri, context)
  if (typeof keySet === 'string') return unreachable(jwksUri, keySet)
  const keys = (Array.isArray(keySet.keys) ? keySet.keys : []).filter(
    (key): key is Record<string, unknown> => typeof key === 'object' && key !== null,
  )
  const published = keys.map(
    (key): PublishedKey => ({ kid: text(key.kid), kty: text(key.kty) ?? '', crv: text(key.crv), use: text(key.use) }),
  )
  return { facts: { ...named, keys: published }, signatureValid: (token) => verify(token, { keys } as JSONWebKeySet) }
}

async function verify(token: string, keySet: JSONWebKeySet): Promise<boolean | undefined> {
  try {
    await compactVerify(token, createLocalJWKSet(keySet), { algorithms: [...jwtSvidAlgorithms] })
    return true
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? false : undefined
  }
}

const unknown = async (): Promise<undefined> => undefined

function unreachable(url: string, reason: string): Published {
  return { facts: { kind: 'unreachable', url, reason }, signatureValid: unknown }
}

/** The object, or why there is none. */
async function readJson(url: string, context: ExchangeContext): Promise<Record<string, unknown> | string> {
  try {
    const request = { party: 'the issuer', url, method: 'GET', headers: { accept: 'application/json' } } as const
    const { status, text } = await sendBounded(request, context)
    if (status !== 200) return `it answered HTTP ${status}`
    return parseJsonObject(text) ?? 'it answered something that is no JSON object'
  } catch (error) {
    context.signal.throwIfAborted()
    return error instanceof Error ? error.message : 'it cannot be read'
  }
}
