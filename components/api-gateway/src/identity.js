import { Refusal } from './refusal.js'

/**
 * Asks the host for this component's JWT-SVID and reads who it says we are. The signature is not checked here: the host has done
 * that, and the relying party does it again.
 *
 * @param {(audience: string) => string | undefined} getToken `wasmcloud:identity/store.get`; throws its `error` variant
 * @param {string} audience
 * @returns {{ token: string, subject: string, expiresAt: Date }}
 * @throws {Refusal} step `identity`
 */
export function askIdentity(getToken, audience) {
  let token
  try {
    token = getToken(audience)
  } catch (error) {
    throw fromStoreError(error)
  }
  if (token === undefined || token === null) throw notFound()
  const { sub, exp } = readClaims(token)
  if (typeof sub !== 'string' || typeof exp !== 'number') {
    throw new Refusal(502, 'identity-malformed', 'the token has no usable sub and exp', 'identity')
  }
  return { token, subject: sub, expiresAt: new Date(exp * 1000) }
}

function fromStoreError(error) {
  // The variant arrives as the error itself or as its `payload`, depending on who made the bindings.
  const { tag, val } = error?.payload ?? error ?? {}
  switch (tag) {
    case 'not-found':
      return notFound()
    case 'io':
      return new Refusal(503, 'identity-unavailable', `the identity cannot be had right now: ${val}`, 'identity')
    case 'other':
      return new Refusal(403, 'identity-refused', `${val}`, 'identity')
    default:
      throw error
  }
}

function notFound() {
  return new Refusal(
    403,
    'identity-not-found',
    'this component has no identity: no registration entry matches it',
    'identity',
  )
}

function readClaims(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw new Refusal(502, 'identity-malformed', 'the host gave something that is not a JWT', 'identity')
  }
}
