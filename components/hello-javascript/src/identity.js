import { get } from 'wasmcloud:identity/store@0.0.1'

/** Why there is no identity, as an answer over HTTP gives it. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/**
 * The SPIFFE ID in the token that the host obtained for exactly this component. The signature is not checked here: the host has
 * done that, and whoever receives the token does it again.
 */
export function spiffeId(audience) {
  let token
  try {
    token = get(audience)
  } catch (error) {
    throw fromStore(error)
  }
  if (token === undefined) throw notFound()
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
    const { sub } = JSON.parse(atob(payload))
    if (typeof sub === 'string') return sub
  } catch {}
  throw new Refusal(502, 'the host gave something that is not a JWT-SVID')
}

function fromStore(error) {
  const { tag, val } = error?.payload ?? error ?? {}
  if (tag === 'not-found') return notFound()
  if (tag === 'io') return new Refusal(503, val)
  if (tag === 'other') return new Refusal(403, val)
  return error
}

function notFound() {
  return new Refusal(403, 'no registration entry matches this component')
}
