import { queryError, queryResult, StsError } from '../../relying-parties/aws-query-xml.ts'
import type { TemporaryCredentialStore } from '../../relying-parties/aws-temporary-credentials.ts'
import { startHttpStandIn } from '../../relying-parties/http-stand-in.ts'
import { isSignedWith, readSigV4 } from '../../relying-parties/sigv4-verifier.ts'

/**
 * `AssumeRole` with the credentials of another role, the second step of role chaining, beside an STS stand-in for the first: requests
 * without an AWS signature are passed on to `webIdentityStsUrl`. The signature, the session token and the external ID are checked.
 */
export async function startAssumeRoleStandIn(options: {
  webIdentityStsUrl: string
  credentials: TemporaryCredentialStore
  externalId: string
}) {
  const seen: { roleArn: string; tags: Record<string, string>; by: string }[] = []
  const server = await startHttpStandIn(async (request) => {
    const claim = readSigV4(request.headers.authorization)
    if (claim === undefined) {
      const response = await fetch(options.webIdentityStsUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: request.body.toString('utf8'),
      })
      return { status: response.status, headers: { 'content-type': 'text/xml' }, body: await response.text() }
    }
    const known = options.credentials.find(claim.accessKeyId)
    const tokenFits = known !== undefined && request.headers['x-amz-security-token'] === known.sessionToken
    if (!tokenFits)
      return queryError(
        new StsError(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.'),
      )
    if (claim.service !== 'sts' || !isSignedWith(known.secretAccessKey, claim, request)) {
      return queryError(
        new StsError(403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match.'),
      )
    }
    const form = new URLSearchParams(request.body.toString())
    if (form.get('ExternalId') !== options.externalId) {
      return queryError(new StsError(403, 'AccessDenied', 'User is not authorized to perform: sts:AssumeRole'))
    }
    const roleArn = form.get('RoleArn') ?? ''
    const tags: Record<string, string> = {}
    for (let index = 1; form.has(`Tags.member.${index}.Key`); index++) {
      tags[form.get(`Tags.member.${index}.Key`) ?? ''] = form.get(`Tags.member.${index}.Value`) ?? ''
    }
    seen.push({ roleArn, tags, by: known.principalArn })
    const session = form.get('RoleSessionName') ?? ''
    const issued = options.credentials.issue(
      `${roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${session}`,
      new Date(Date.now() + Number(form.get('DurationSeconds')) * 1000),
    )
    return queryResult('AssumeRole', {
      AssumedRoleUser: { Arn: issued.principalArn, AssumedRoleId: `AROA:${session}` },
      Credentials: {
        AccessKeyId: issued.accessKeyId,
        SecretAccessKey: issued.secretAccessKey,
        SessionToken: issued.sessionToken,
        Expiration: issued.expiresAt.toISOString(),
      },
    })
  })
  return { url: server.url, seen, [Symbol.asyncDispose]: () => server.close() }
}
