import { type StandInResponse, startHttpStandIn } from '../../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty, TokenRefused } from '../../relying-parties/oidc-relying-party.ts'
import { jsonAnswer, opaqueToken } from './json-answer.ts'

/** An authorization server with RFC 8693 token exchange and RFC 7523 client assertions that believes one issuer's tokens for itself. */
export async function startOauthStandIn(options: {
  issuer: string
  audience: string
  subject: string
  resourceAudience: string
}) {
  const party = createOidcRelyingParty([{ issuer: options.issuer, clientIds: [options.audience] }])
  const issued = new Map<string, string>()
  const server = await startHttpStandIn(async ({ method, target, body }) => {
    if (method !== 'POST' || target !== '/token') return bad('invalid_request', 'no such endpoint')
    const form = new URLSearchParams(body.toString())
    const urn = 'urn:ietf:params:oauth'
    const exchange = form.get('grant_type') === `${urn}:grant-type:token-exchange`
    if (!exchange && form.get('grant_type') !== 'client_credentials') return bad('unsupported_grant_type', '')
    if (exchange && form.get('subject_token_type') !== `${urn}:token-type:jwt`)
      return bad('invalid_request', 'subject_token_type')
    if (!exchange && form.get('client_assertion_type') !== `${urn}:client-assertion-type:jwt-spiffe`)
      return bad('invalid_client', 'client_assertion_type')
    if (form.get('audience') !== options.resourceAudience) return bad('invalid_target', 'audience')
    try {
      const verified = await party.verify(form.get(exchange ? 'subject_token' : 'client_assertion') ?? '')
      if (verified.subject !== options.subject)
        return bad(exchange ? 'invalid_grant' : 'invalid_client', 'unknown subject')
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      return bad(exchange ? 'invalid_grant' : 'invalid_client', error.reason)
    }
    const token = opaqueToken()
    issued.set(token, options.resourceAudience)
    return jsonAnswer(200, {
      access_token: token,
      ...(exchange && { issued_token_type: `${urn}:token-type:access_token` }),
      token_type: 'Bearer',
      expires_in: 300,
    })
  })
  return {
    url: `${server.url}/token`,
    accepts: (token: string) => issued.has(token),
    [Symbol.asyncDispose]: () => server.close(),
  }
}

function bad(error: string, description: string): StandInResponse {
  return jsonAnswer(error === 'invalid_client' ? 401 : 400, { error, error_description: description })
}
