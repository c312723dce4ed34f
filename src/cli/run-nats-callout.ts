import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { type CalloutPolicy, parseCalloutPolicy } from '../callout/callout-policy.ts'
import { serveCallout } from '../callout/serve-callout.ts'
import { systemClock as clock } from '../clock/clock.ts'
import { createAuditFeed } from '../control/herald-audit-feed.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { createJwtVerifier } from '../identity/jwt-verifier.ts'
import type { OwnIdentity } from '../identity/own-identity.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { NatsKey } from '../lattice/nats-keys.ts'
import { parseSubjectToken } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import { type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { createAuditTrail, feedAudit } from './audit-trail.ts'
import { calloutAuditConnection } from './callout-audit-connection.ts'
import { type CalloutKeyName, calloutKeyPath, readCalloutKey } from './callout-keys.ts'
import type { CalloutOperations } from './callout-operations.ts'
import type { CalloutRevocation, openCalloutRevocation } from './callout-revocation.ts'
import { createCommandLog } from './create-command-log.ts'
import { type CliEnvironment, readTelemetryVariables } from './environment.ts'
import { listenForInterrupts } from './interrupts.ts'
import { createOutputTap, type OutputTap } from './inventoried-host.ts'
import type { NatsCalloutOptions } from './nats-callout-command.ts'
import { natsConnections } from './nats-connections.ts'
import { usesOwnSvids } from './nats-svid-options.ts'
import { otlpSettings } from './otlp-settings.ts'
import { openOwnSpiffe } from './own-spiffe.ts'

/** How often the policy file is looked at, ms. */
const policyPollMs = 2_000
/** Between two questions who this is, ms. */
const identityPauseMs = 1_000

export async function runNatsCallout(options: NatsCalloutOptions, environment: CliEnvironment): Promise<void> {
  const output = createOutputTap()
  const log = createCommandLog(options, environment, output.write)
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

  const id = parseSubjectToken(randomUUID(), 'the id of the service')
  const trail = createAuditTrail(log)
  await using feed = createAuditFeed({ hostId: id, clock, log })
  trail.onEvent((told) => feedAudit(feed, told))
  await using operations = await operationsOf(options, { id, output, log, signal })

  await using own = openOwnSpiffe(options, environment, log)
  const { authority, identity } = own
  const connectNats = natsConnections(connection, { log, own: byTls ? own : undefined })
  await using lattice = connectNats('callout')
  operations?.watch({ lattice, trail, feed })
  const verifier = createJwtVerifier({ authority, clock })
  const x509BundleOf = authority.currentX509Bundle.bind(authority)
  let self: SpiffeId | undefined
  await using revocation =
    options.spireServerSocket === undefined
      ? undefined
      : await revocationBy(options.spireServerSocket, {
          trustDomain: () => self && trustDomainOf(self),
          system: await systemConnection(keys, (natsNkey) =>
            natsConnections({ ...options, natsNkey }, { log, own: byTls ? own : undefined })('system'),
          ),
          ...{ audit: trail.nats, log },
        })
  await using _serving = serveCallout({
    ...{ lattice, policy: () => policy, verifier, x509BundleOf, issuer, xkey },
    isRegistered: revocation?.isRegistered,
    ...{ audit: trail.nats, clock, log },
  })
  lattice.onStateChange((state) => {
    if (state.kind !== 'connected') return
    const ready = { event: 'ready', server: state.server, issuer: issuer.publicKey, grants: policy.grants.length }
    environment.stdout.write(
      options.output === 'json'
        ? `${JSON.stringify({ ...ready, id, health: operations?.url })}\n`
        : `Answering for ${state.server}: ${ready.grants} grants\n`,
    )
  })
  await using telling = calloutAuditConnection({
    connect: (natsAudience) => natsConnections({ ...options, natsSvid: true, natsAudience }, { log, own })('audit'),
    ...{ feed, id, name: `callout-${hostname()}`, log },
  })
  const tell = (): void => {
    if (self !== undefined && options.auditNats !== false) telling.follow(policy, self)
  }
  // X.509 bundles come with the own SVID, as long as this process has one.
  const ownSvid = whoThisIs(identity, log, signal).then((found) => {
    if (found === undefined) return
    self = found
    operations?.identified()
    tell()
  })
  const use = (next: CalloutPolicy): void => {
    policy = next
    tell()
  }
  await followPolicy(policyFile, source, use, log, signal)
  await ownSvid
}

/** @throws ERR_NATS_KEY_INVALID */
async function systemConnection(keys: string, connect: (nkeyFile: string) => Lattice): Promise<Lattice> {
  if ((await readCalloutKey(keys, 'system')) !== undefined) return connect(calloutKeyPath(keys, 'system'))
  throw new HeraldError('ERR_NATS_KEY_INVALID', `${calloutKeyPath(keys, 'system')} is not there`, {
    hint: `--spire-server-socket ends connections, by a user of NATS's system account: herald nats-callout keys ${keys} --system-account SYS`,
  })
}

async function revocationBy(
  socketPath: string,
  parts: Omit<Parameters<typeof openCalloutRevocation>[0], 'socketPath'>,
): Promise<CalloutRevocation> {
  const { openCalloutRevocation } = await import('./callout-revocation.ts')
  return openCalloutRevocation({ socketPath, ...parts })
}

/** Loaded only where they are asked for. */
async function operationsOf(
  { health: address, otlpEndpoint }: NatsCalloutOptions,
  { id, output, log, signal }: { id: string; output: OutputTap; log: Log; signal: AbortSignal },
): Promise<CalloutOperations | undefined> {
  const otlp = otlpSettings(otlpEndpoint, readTelemetryVariables())
  if (address === undefined && otlp === undefined) return undefined
  const { openCalloutOperations } = await import('./callout-operations.ts')
  return openCalloutOperations({ address, otlp, onLogLine: output.onLine, id, log, signal })
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

/** Asks SPIRE until it says so; `undefined` when the signal aborts before. */
async function whoThisIs(identity: OwnIdentity, log: Log, signal: AbortSignal): Promise<SpiffeId | undefined> {
  let complaint: string | undefined
  while (!signal.aborted) {
    try {
      const { spiffeId } = await identity.fetchX509Svid({ signal })
      log.info({ event: 'callout.identity', spiffeId }, 'SPIRE knows this service')
      return spiffeId
    } catch (error) {
      if (signal.aborted || !isHeraldError(error)) return undefined
      if (error.message !== complaint)
        log.error({ event: 'callout.identity-missing', code: error.code }, error.describe())
      complaint = error.message
      await clock.sleep(identityPauseMs, { signal }).catch(() => {})
    }
  }
  return undefined
}
