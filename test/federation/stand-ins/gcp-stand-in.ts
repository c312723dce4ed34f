import { type StandInRequest, type StandInResponse, startHttpStandIn } from '../../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty, TokenRefused } from '../../relying-parties/oidc-relying-party.ts'
import { jsonAnswer, opaqueToken } from './json-answer.ts'

export type GcpStandInOptions = {
  readonly issuer: string
  /** `projects/…/providers/…` */
  readonly provider: string
  /** The attribute condition: the one subject. */
  readonly subject: string
  readonly allowedAudience: string
  /** Who may be impersonated. */
  readonly serviceAccount: string
  readonly nowMs?: () => number
}

/**
 * Stands in for Google's STS and IAM Credentials, which cannot be reached from a test: `POST /v1/token` (RFC 8693 in form encoding) and
 * `POST /v1/projects/-/serviceAccounts/…:generateAccessToken`, in the published formats. Discovery, signature, issuer, audience, times and
 * condition are checked for real; a subject of more than 127 bytes is refused.
 */
export async function startGcpStandIn(options: GcpStandInOptions) {
  const { issuer, provider, subject, allowedAudience, serviceAccount, nowMs = Date.now } = options
  const party = createOidcRelyingParty([{ issuer, clientIds: [allowedAudience] }], { nowMs })
  const federated = new Map<string, { scope: string; subject: string }>()
  const issued = new Set<string>()

  async function token({ body, headers }: StandInRequest): Promise<StandInResponse> {
    if (!headers['content-type']?.startsWith('application/x-www-form-urlencoded'))
      return bad('invalid_request', 'form wanted')
    const form = new URLSearchParams(body.toString())
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:token-exchange')
      return bad('unsupported_grant_type', '')
    if (form.get('audience') !== `//iam.googleapis.com/${provider}`)
      return bad('invalid_target', 'The target service indicated by the "audience" parameters is invalid.')
    if (form.get('subject_token_type') !== 'urn:ietf:params:oauth:token-type:jwt')
      return bad('invalid_request', 'Invalid subject_token_type.')
    if (form.get('requested_token_type') !== 'urn:ietf:params:oauth:token-type:access_token')
      return bad('invalid_request', 'Invalid requested_token_type.')
    const scope = form.get('scope')
    if (scope === null) return bad('invalid_request', 'Scope is missing.')
    try {
      const verified = await party.verify(form.get('subject_token') ?? '')
      if (Buffer.byteLength(verified.subject) > 127)
        return bad(
          'invalid_request',
          'The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your attribute mapping or the incoming assertion to produce a mapped attribute that is less than 127 bytes.',
        )
      if (verified.subject !== subject)
        return bad('unauthorized_client', 'The given credential is rejected by the attribute condition.', 403)
      const accessToken = opaqueToken()
      federated.set(accessToken, { scope, subject: verified.subject })
      issued.add(accessToken)
      return jsonAnswer(200, {
        access_token: accessToken,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 3599,
      })
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      return bad('invalid_grant', `The token is refused: ${error.reason}.`)
    }
  }

  function impersonate({ headers, body, target }: StandInRequest): StandInResponse {
    const caller = federated.get(headers.authorization?.replace(/^Bearer /, '') ?? '')
    if (caller === undefined) return failed(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.')
    const wanted = decodeURIComponent(
      target.slice('/v1/projects/-/serviceAccounts/'.length).replace(/:generateAccessToken$/, ''),
    )
    if (wanted !== serviceAccount || !caller.scope.includes('https://www.googleapis.com/auth/iam')) {
      return failed(
        403,
        'PERMISSION_DENIED',
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
      )
    }
    const { scope, lifetime } = JSON.parse(body.toString()) as { scope?: unknown; lifetime?: unknown }
    const seconds = /^(\d+)s$/.exec(`${lifetime}`)?.[1]
    if (!Array.isArray(scope) || seconds === undefined)
      return failed(400, 'INVALID_ARGUMENT', 'Request contains an invalid argument.')
    const accessToken = opaqueToken()
    issued.add(accessToken)
    return jsonAnswer(200, {
      accessToken,
      expireTime: new Date(nowMs() + Number(seconds) * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
    })
  }

  const server = await startHttpStandIn(async (request) => {
    if (request.method === 'POST' && request.target === '/v1/token') return token(request)
    if (request.method === 'POST' && request.target.endsWith(':generateAccessToken')) return impersonate(request)
    return failed(404, 'NOT_FOUND', 'no such method')
  })
  return {
    url: server.url,
    accepts: (accessToken: string) => issued.has(accessToken),
    [Symbol.asyncDispose]: () => server.close(),
  }
}

function bad(error: string, description: string, status = 400): StandInResponse {
  return jsonAnswer(status, { error, error_description: description })
}

function failed(code: number, status: string, message: string): StandInResponse {
  return jsonAnswer(code, { error: { code, message, status } })
}
