import { systemClock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { createDevelopmentAuthority } from '../identity/development/development-authority.ts'
import { selectorsOf } from '../identity/selectors.ts'
import { createLog } from '../observability/log.ts'
import { askDevForToken, type DevTokenAnswer } from './dev-tokens.ts'
import type { CliEnvironment } from './environment.ts'
import type { TokenOptions } from './identity-token-command.ts'

export async function runIdentityToken(options: TokenOptions, environment: CliEnvironment): Promise<void> {
  const answer = options.ephemeral ? await issueEphemeral(options, environment) : await askDev(options, environment)
  const { stdout, stderr } = environment
  if (options.raw) {
    stdout.write(options.output === 'json' ? `${JSON.stringify({ token: answer.token })}\n` : `${answer.token}\n`)
    return
  }
  const { header, claims } = decode(answer.token)
  if (options.output === 'json') {
    stdout.write(`${JSON.stringify({ header, claims })}\n`)
    return
  }
  const seconds = (value: unknown): string =>
    typeof value === 'number' ? new Date(value * 1000).toISOString() : String(value)
  const rows: [string, unknown][] = [
    ['subject', claims.sub],
    ['audience', [claims.aud].flat().join(', ')],
    ['issuer', claims.iss],
    ['issued', seconds(claims.iat)],
    ['expires', seconds(claims.exp)],
    ['key', `${header.kid} (${header.alg})`],
  ]
  stdout.write(`${rows.map(([name, value]) => `${name.padEnd(9)} ${value}`).join('\n')}\n`)
  if (options.ephemeral) stderr.write('signed by a key that no longer exists: nobody can verify this token\n')
}

async function askDev(
  { component, audience }: TokenOptions,
  { runtimeDirectory }: CliEnvironment,
): Promise<DevTokenAnswer> {
  const answer = await askDevForToken({ component, audiences: audience }, { directory: runtimeDirectory })
  if (answer !== undefined) return answer
  throw new HeraldError('ERR_USAGE', 'no herald dev of this user runs', {
    hint: 'start one with: herald dev, or see an example token with --ephemeral',
  })
}

async function issueEphemeral(
  { component = 'example', audience, lattice, trustDomain }: TokenOptions,
  { inKubernetes }: CliEnvironment,
): Promise<DevTokenAnswer> {
  const log = createLog({ level: 'silent' })
  await using authority = await createDevelopmentAuthority({ log, clock: systemClock, inKubernetes, trustDomain })
  const selectors = selectorsOf({
    lattice,
    namespace: 'default',
    workloadName: component,
    workloadId: 'ephemeral',
    componentName: component,
    image: 'none',
    imageDigest: `sha256:${'0'.repeat(64)}`,
    environment: undefined,
    hostLabels: {},
  })
  const [svid] = await authority.fetchJwtSvids(
    { selectors, audiences: audience },
    { signal: AbortSignal.timeout(5_000) },
  )
  if (svid === undefined) throw new HeraldError('ERR_INTERNAL', 'the development authority issued nothing')
  return { token: svid.token, component, issuer: authority.issuer }
}

function decode(token: string): { header: Record<string, unknown>; claims: Record<string, unknown> } {
  const [header = '', claims = ''] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  return { header: JSON.parse(header), claims: JSON.parse(claims) }
}
