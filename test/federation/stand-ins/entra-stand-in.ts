import { decodeJwt } from 'jose'
import { type StandInResponse, startHttpStandIn } from '../../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty, TokenRefused } from '../../relying-parties/oidc-relying-party.ts'
import { jsonAnswer, opaqueToken } from './json-answer.ts'

export type EntraStandInOptions = {
  readonly tenantId: string
  readonly clientId: string
  /** The application's one federated credential. */
  readonly credential: { readonly issuer: string; readonly subject: string; readonly audience: string }
  /** So many requests are answered AADSTS70021 first, as while a new credential spreads. */
  readonly unknownAtFirst?: number
  readonly nowMs?: () => number
}

/**
 * Stands in for Microsoft Entra, which cannot be reached from a test: the client credentials grant with a federated credential. Discovery,
 * signature, exact issuer, subject and audience, and times are checked for real; errors have the published numbers.
 */
export async function startEntraStandIn(options: EntraStandInOptions) {
  const { tenantId, clientId, credential, nowMs = Date.now } = options
  const party = createOidcRelyingParty([{ issuer: credential.issuer, clientIds: [credential.audience] }], { nowMs })
  const issued = new Set<string>()
  let unknown = options.unknownAtFirst ?? 0
  let requests = 0

  const server = await startHttpStandIn(async ({ method, target, body }) => {
    requests += 1
    if (method !== 'POST' || target !== `/${tenantId}/oauth2/v2.0/token`)
      return failed(90002, `Tenant '${target.split('/')[1]}' not found.`)
    const form = new URLSearchParams(body.toString())
    if (form.get('grant_type') !== 'client_credentials')
      return failed(70003, 'The app requested an unsupported grant type.')
    if (form.get('client_id') !== clientId)
      return failed(700016, 'Application with identifier was not found in the directory.')
    if (!form.get('scope')?.endsWith('/.default')) return failed(1002012, 'The provided value for scope is not valid.')
    if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      return failed(7000218, 'The request body must contain client_assertion_type.')
    if (unknown > 0) {
      unknown -= 1
      return failed(70021, 'No matching federated identity record found for presented assertion.')
    }
    const assertion = form.get('client_assertion') ?? ''
    try {
      const claims = decodeJwt(assertion)
      if (claims.iss !== credential.issuer)
        return failed(
          700211,
          `No matching federated identity record found for presented assertion issuer '${claims.iss}'.`,
        )
      const verified = await party.verify(assertion)
      if (verified.subject !== credential.subject)
        return failed(
          700213,
          `No matching federated identity record found for presented assertion subject '${verified.subject}'.`,
        )
    } catch (error) {
      if (!(error instanceof TokenRefused)) return failed(50027, 'JWT token is invalid or malformed.')
      if (error.reason === 'audience')
        return failed(700212, 'No matching federated identity record found for presented assertion audience.')
      return failed(
        error.reason === 'expired' ? 700024 : 50013,
        `Client assertion is not within its valid time range or not valid: ${error.reason}.`,
      )
    }
    const accessToken = opaqueToken()
    issued.add(accessToken)
    return jsonAnswer(200, { token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599, access_token: accessToken })
  })
  return {
    url: server.url,
    accepts: (accessToken: string) => issued.has(accessToken),
    requests: () => requests,
    [Symbol.asyncDispose]: () => server.close(),
  }
}

function failed(number: number, message: string): StandInResponse {
  return jsonAnswer(number === 700024 || number === 50013 ? 401 : 400, {
    error: number === 700016 ? 'unauthorized_client' : 'invalid_client',
    error_description: `AADSTS${number}: ${message} Trace ID: 6f1c0000 Correlation ID: 0000\r\nTimestamp: 2026-01-01 00:00:00Z`,
    error_codes: [number],
    timestamp: '2026-01-01 00:00:00Z',
  })
}
