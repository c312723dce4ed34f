import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { parseBinding } from '../../src/federation/binding.ts'
import { exchange } from '../../src/federation/exchange.ts'
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts'
import { type AwsStandIns, type AwsStandInsOptions, startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { type Spire, startSpire } from '../support/spire.ts'

const component = 'spiffe://example.org/default/api-gateway'
let spire: Spire
before(async () => {
  spire = await startSpire({ agent: false })
})
after(async () => {
  await spire[Symbol.asyncDispose]()
})

const startAws = (options: Partial<AwsStandInsOptions> = {}) =>
  startAwsStandIns({ issuer: spire.issuer, audience: 'sts.amazonaws.com', subjects: [component], ...options })
const bindingTo = (aws: AwsStandIns) =>
  parseBinding('b', { provider: 'aws', 'role-arn': aws.roleArn, region: aws.region, 'sts-endpoint': aws.stsUrl })
const context = () => ({ fetch, clock: systemClock, signal: AbortSignal.timeout(15_000) })
const mint = (ttlS = 300) => spire.mintJwtSvid({ spiffeId: component, audience: 'sts.amazonaws.com', ttlS })
const trade = async (aws: AwsStandIns, token?: string) =>
  exchange(bindingTo(aws), parseJwtSvid(token ?? (await mint())), context())

const altered = (token: string): string => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: `${component}-admin` }
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}
const withHeader = (token: string, change: object): string => {
  const [header = '', ...rest] = token.split('.')
  const changed = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), ...change }
  return [Buffer.from(JSON.stringify(changed)).toString('base64url'), ...rest].join('.')
}

const tenMinutesMs = 600_000
const faults: readonly [
  what: string,
  options: Partial<AwsStandInsOptions>,
  change: (token: string) => string,
  code: RegExp,
][] = [
  [
    'a clock of the relying party ten minutes ahead',
    { nowMs: () => Date.now() + tenMinutesMs },
    (token) => token,
    /ExpiredTokenException/,
  ],
  [
    'a clock of the relying party ten minutes behind',
    { nowMs: () => Date.now() - tenMinutesMs },
    (token) => token,
    /InvalidIdentityToken/,
  ],
  [
    'another issuer trusted',
    { issuer: 'http://localhost:1' },
    (token) => token,
    /InvalidIdentityToken: No OpenIDConnect provider/,
  ],
  ['a trailing slash in the trusted issuer', {}, (token) => token, /InvalidIdentityToken: No OpenIDConnect provider/],
  ['an altered subject', {}, altered, /InvalidIdentityToken: The signature/],
  [
    'an unknown key',
    {},
    (token) => withHeader(token, { kid: 'nobody' }),
    /InvalidIdentityToken: Couldn't retrieve verification key/,
  ],
  ['another algorithm', {}, (token) => withHeader(token, { alg: 'ES512' }), /InvalidIdentityToken/],
]
for (const [what, options, change, code] of faults) {
  test(`${what} is refused with the code that AWS has for it`, async () => {
    const more = what.startsWith('a trailing slash') ? { issuer: `${spire.issuer}/` } : {}
    await using aws = await startAws({ ...options, ...more })
    await assert.rejects(trade(aws, change(await mint())), (error: Error & { code: string }) => {
      assert.equal(error.code, 'ERR_FEDERATION_REFUSED')
      assert.match(error.message, code)
      return true
    })
  })
}

test('a clock two minutes off is borne', async () => {
  for (const offMs of [120_000, -120_000]) {
    await using aws = await startAws({ nowMs: () => Date.now() + offMs })
    assert.equal((await trade(aws)).credentials.kind, 'aws')
  }
})

test('the array that SPIRE makes of aud is taken', async () => {
  const [, payload = ''] = (await mint()).split('.')
  assert.deepEqual(JSON.parse(Buffer.from(payload, 'base64url').toString()).aud, ['sts.amazonaws.com'])
  await using aws = await startAws()
  assert.equal((await trade(aws)).credentials.kind, 'aws')
})

test("SPIRE's signing key is rotated: tokens of the old and of the new key are both exchanged, none fails", async () => {
  await using aws = await startAws()
  const old = await mint()
  const program = join(await buildServer('spire'), 'spire-server')
  const authority = async (...args: string[]) => {
    const result = await runProgram(program, [
      'localauthority',
      'jwt',
      ...args,
      '-socketPath',
      spire.serverSocketPath,
      '-output',
      'json',
    ])
    assert.equal(result.exitCode, 0, result.output)
    return JSON.parse(result.stdout) as { prepared_authority?: { authority_id: string } }
  }
  await trade(aws, old)
  const { prepared_authority: prepared } = await authority('prepare')
  // Published before it signs: the discovery provider asks the server once a second.
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  await authority('activate', '-authorityID', prepared?.authority_id ?? '')
  const fresh = await mint()
  assert.equal(parseJwtSvid(fresh).keyId, prepared?.authority_id)
  assert.notEqual(parseJwtSvid(old).keyId, parseJwtSvid(fresh).keyId)
  await Promise.all([trade(aws, old), trade(aws, fresh), trade(aws, old), trade(aws, fresh)])
})
