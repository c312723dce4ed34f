import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type CalloutPolicy, parseCalloutPolicy } from '../callout/callout-policy.ts'
import { serveCallout } from '../callout/serve-callout.ts'
import { systemClock as clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { createJwtVerifier } from '../identity/jwt-verifier.ts'
import type { NatsKey } from '../lattice/nats-keys.ts'
import type { Log } from '../observability/log.ts'
import { type CalloutKeyName, calloutKeyPath, readCalloutKey } from './callout-keys.ts'
import { createCommandLog } from './create-command-log.ts'
import type { CliEnvironment } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import type { NatsCalloutOptions } from './nats-callout-command.ts'
import { natsConnections } from './nats-connections.ts'
import { usesOwnSvids } from './nats-svid-options.ts'
import { openOwnSpiffe } from './own-spiffe.ts'

/** How often the policy file is looked at, ms. */
const policyPollMs = 2_000

export async function runNatsCallout(options: NatsCalloutOptions, environment: CliEnvironment): Promise<void> {
  const log = createCommandLog(options, environment)
  using interrupts = listenForInterrupts((name) => log.info({ event: 'callout.signal', signal: name }, 'ending'))
  const { signal } = interrupts
  const keys = resolve(environment.cwd, options.keys)
  const policyFile = resolve(environment.cwd, options.policy)
  const issuer = await neededKey(keys, 'issuer')
  await neededKey(keys, 'user')
  const xkey = await readCalloutKey(keys, 'xkey')
  const source = await readPolicy(policyFile)
  let policy = parseCalloutPolicy(source, policyFile)
  const connection = { ...options, natsNkey: calloutKeyPath(keys, 'user') }
  const byTls = usesOwnSvids(connection)
  await using own = openOwnSpiffe(options, environment, log)
  const { authority, identity } = own
  const connectNats = natsConnections(connection, { log, own: byTls ? own : undefined })
  await using lattice = connectNats('callout')
  const verifier = createJwtVerifier({ authority, clock })
  const x509BundleOf = authority.currentX509Bundle.bind(authority)
  // X.509 bundles come with the own SVID, as long as this process has one.
  const ownSvid = sayWhetherOwnSvid(identity.fetchX509Svid({ signal }), log, signal)
  await using _serving = serveCallout({
    lattice,
    policy: () => policy,
    verifier,
    x509BundleOf,
    issuer,
    xkey,
    clock,
    log,
  })
  lattice.onStateChange((state) => {
    if (state.kind !== 'connected') return
    const ready = { event: 'ready', server: state.server, issuer: issuer.publicKey, grants: policy.grants.length }
    environment.stdout.write(
      options.output === 'json'
        ? `${JSON.stringify(ready)}\n`
        : `Answering for ${state.server}: ${ready.grants} grants\n`,
    )
  })
  await followPolicy(policyFile, source, (next) => (policy = next), log, signal)
  await ownSvid
}

async function neededKey(directory: string, name: CalloutKeyName): Promise<NatsKey> {
  const key = await readCalloutKey(directory, name)
  if (key !== undefined) return key
  throw new HeraldError('ERR_NATS_KEY_INVALID', `${calloutKeyPath(directory, name)} is not there`, {
    hint: `make it: herald nats-callout keys ${directory}`,
  })
}

async function readPolicy(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new HeraldError('ERR_CALLOUT_POLICY_INVALID', `the policy cannot be read: ${code}`, {
      where: { file },
      hint: 'check its path and permissions',
    })
  }
}

/** Until the signal aborts. A timer that keeps the process alive, since NATS may be away. */
async function followPolicy(
  file: string,
  first: string,
  use: (policy: CalloutPolicy) => void,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const alive = setInterval(() => {}, 60_000)
  let source = first
  let complaint: string | undefined
  try {
    while (!signal.aborted) {
      await clock.sleep(policyPollMs, { signal }).catch(() => {})
      if (signal.aborted) return
      try {
        const now = await readPolicy(file)
        complaint = undefined
        if (now === source) continue
        source = now
        const policy = parseCalloutPolicy(now, file)
        use(policy)
        log.info({ event: 'callout.policy-changed', grants: policy.grants.length }, 'the policy was read again')
      } catch (error) {
        if (!isHeraldError(error)) throw error
        if (complaint === error.message) continue
        complaint = error.message
        log.error({ event: 'callout.policy-invalid', code: error.code }, `the policy before stays: ${error.describe()}`)
      }
    }
  } finally {
    clearInterval(alive)
  }
}

async function sayWhetherOwnSvid(
  fetching: Promise<{ spiffeId: string }>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { spiffeId } = await fetching
    log.info({ event: 'callout.identity', spiffeId }, 'SPIRE knows this service')
  } catch (error) {
    if (signal.aborted || !isHeraldError(error)) return
    log.error({ event: 'callout.identity-missing', code: error.code }, error.describe())
  }
}
