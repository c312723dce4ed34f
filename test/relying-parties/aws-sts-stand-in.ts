import { queryError, queryResult, StsError } from './aws-query-xml.ts'
import type { TemporaryCredentialStore } from './aws-temporary-credentials.ts'
import { permits, providerName, type TrustPolicy } from './aws-trust-policy.ts'
import { type StandInRequest, type StandInResponse, startHttpStandIn } from './http-stand-in.ts'
import { createOidcRelyingParty, type OidcProvider, TokenRefused } from './oidc-relying-party.ts'

export type StandInRole = {
  readonly arn: string
  readonly trustPolicy: TrustPolicy
  /** Longest session, seconds; AWS: 3600 to 43200. */
  readonly maxSessionS: number
}

export type AwsStsStandInOptions = {
  readonly accountId: string
  /** The account's OIDC providers. Unlike AWS, an `http:` issuer with a port will do: this runs on one machine. */
  readonly providers: readonly OidcProvider[]
  readonly roles: readonly StandInRole[]
  readonly credentials: TemporaryCredentialStore
  readonly nowMs?: () => number
  readonly fetch?: typeof globalThis.fetch
  readonly port?: number
  /** One line per request: what was decided, never a token or key. */
  readonly log?: (line: string) => void
}

/**
 * Stands in for AWS STS, which cannot be reached from a test: `AssumeRoleWithWebIdentity` in the wire format, with the error codes and
 * the statuses that AWS publishes. It believes nothing that it has not checked; what AWS checks beyond that is not known to it.
 */
export async function startAwsStsStandIn(
  options: AwsStsStandInOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  const { accountId, providers, roles, credentials, nowMs = Date.now, log = () => {}, port = 0 } = options
  const relyingParty = createOidcRelyingParty(providers, { nowMs, ...(options.fetch && { fetch: options.fetch }) })

  async function assume(form: URLSearchParams): Promise<StandInResponse> {
    const token = required(form, 'WebIdentityToken', 'webIdentityToken')
    const roleArn = required(form, 'RoleArn', 'roleArn')
    const sessionName = required(form, 'RoleSessionName', 'roleSessionName')
    if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) {
      throw invalid(
        `Value '${sessionName}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*`,
      )
    }
    const durationS = Number(form.get('DurationSeconds') ?? 3600)
    if (!Number.isInteger(durationS) || durationS < 900 || durationS > 43_200) {
      throw invalid(
        `Value '${durationS}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900`,
      )
    }

    const { issuer, subject, audience } = await relyingParty.verify(token).catch((error) => {
      throw error instanceof TokenRefused ? fromRefused(error, nowMs()) : error
    })
    const provider = providerName(issuer)
    const providerArn = `arn:aws:iam::${accountId}:oidc-provider/${provider}`
    const role = roles.find(({ arn }) => arn === roleArn)
    if (role === undefined || !permits(role.trustPolicy, providerArn, provider, { aud: audience, sub: subject })) {
      throw new StsError(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity')
    }
    if (durationS > role.maxSessionS) {
      throw new StsError(
        400,
        'ValidationError',
        'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
      )
    }

    const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1)
    const principalArn = `arn:aws:sts::${accountId}:assumed-role/${roleName}/${sessionName}`
    const issued = credentials.issue(principalArn, new Date(Math.floor(nowMs() / 1000 + durationS) * 1000))
    log(`AWS STS stand-in: ${subject} may be ${principalArn} until ${issued.expiresAt.toISOString()}`)
    return queryResult('AssumeRoleWithWebIdentity', {
      SubjectFromWebIdentityToken: subject,
      Audience: audience[0] ?? '',
      AssumedRoleUser: { Arn: principalArn, AssumedRoleId: `AROASTANDIN${roleName.toUpperCase()}:${sessionName}` },
      Credentials: {
        AccessKeyId: issued.accessKeyId,
        SecretAccessKey: issued.secretAccessKey,
        SessionToken: issued.sessionToken,
        Expiration: issued.expiresAt.toISOString().replace('.000Z', 'Z'),
      },
      Provider: providerArn,
    })
  }

  async function answer(request: StandInRequest): Promise<StandInResponse> {
    try {
      if (request.method !== 'POST') throw new StsError(405, 'MethodNotAllowed', 'the stand-in takes POST only')
      const form = new URLSearchParams(request.body.toString('utf8'))
      const action = form.get('Action')
      if (action === null) throw new StsError(400, 'MissingAction', 'The request must contain the parameter Action')
      if (action !== 'AssumeRoleWithWebIdentity') {
        throw new StsError(
          400,
          'InvalidAction',
          `Could not find operation ${action} for version ${form.get('Version')}`,
        )
      }
      return await assume(form)
    } catch (error) {
      if (!(error instanceof StsError)) throw error
      log(`AWS STS stand-in: refused with ${error.code}: ${error.message}`)
      return queryError(error)
    }
  }

  return startHttpStandIn(answer, { port })
}

function required(form: URLSearchParams, parameter: string, member: string): string {
  const value = form.get(parameter)
  if (value) return value
  throw invalid(`Value null at '${member}' failed to satisfy constraint: Member must not be null`)
}

function invalid(what: string): StsError {
  return new StsError(400, 'ValidationError', `1 validation error detected: ${what}`)
}

function fromRefused(refused: TokenRefused, nowMs: number): StsError {
  switch (refused.reason) {
    case 'malformed':
      return new StsError(400, 'InvalidIdentityToken', 'The ID Token provided is not a valid JWT.')
    case 'unknown-issuer':
      return new StsError(
        400,
        'InvalidIdentityToken',
        `No OpenIDConnect provider found in your account for ${refused.message}`,
      )
    case 'provider-not-reachable':
      return new StsError(
        400,
        'IDPCommunicationError',
        'The identity provider could not be reached to verify the token.',
      )
    case 'no-key':
      return new StsError(400, 'InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider")
    case 'signature':
      return new StsError(400, 'InvalidIdentityToken', 'The signature of the token is not valid.')
    case 'audience':
      return new StsError(400, 'InvalidIdentityToken', 'Incorrect token audience')
    case 'not-yet':
      return new StsError(400, 'InvalidIdentityToken', 'The token is not valid yet.')
    case 'expired':
      return new StsError(
        400,
        'ExpiredTokenException',
        `Token expired: current date/time ${Math.floor(nowMs / 1000)} must be before the expiration date/time (${refused.message})`,
      )
  }
}
