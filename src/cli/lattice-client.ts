import { systemClock } from '../clock/clock.ts'
import { contextNamed, type NatsOptions, readContexts } from '../config/contexts.ts'
import type { AuditEvent } from '../control/herald-audit-event.ts'
import {
  callAnswer,
  callRequest,
  copyRequest,
  drainAnswer,
  type HeraldWorkload,
  heraldHost,
  inventory,
  type LogLine,
  logLine,
  logsAnswer,
  logsRequest,
  type WorkloadActivity,
} from '../control/herald-messages.ts'
import {
  type HostHeartbeat,
  type WireWorkload,
  type WireWorkloadStatus,
  workloadResponse,
  workloadStartRequest,
  workloadStopRequest,
} from '../control/messages.ts'
import { type Decoded, formatMessage, parseMessage } from '../control/proto-json.ts'
import { type ErrorCode, errorCodes } from '../errors/error-codes.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Lattice } from '../lattice/lattice.ts'
import {
  heraldHosts,
  heraldLogSubject,
  heraldRequestSubject,
  hostCommandSubject,
  parseSubjectToken,
  type SubjectToken,
} from '../lattice/subjects.ts'
import { createLog } from '../observability/log.ts'
import { type AuditSource, askActivity, askAudit, askCallouts, followAudit } from './ask-audit.ts'
import type { CliEnvironment } from './environment.ts'
import { lazyOwnSpiffe } from './lazy-own-spiffe.ts'
import { mapAtMost } from './map-at-most.ts'
import { natsConnections } from './nats-connections.ts'
import { type NatsSvidOptions, usesOwnSvids } from './nats-svid-options.ts'

export type LatticeOptions = NatsOptions & NatsSvidOptions & { readonly context?: string; readonly verbose?: true }

/** A host that answered. */
export type FleetHost = {
  readonly id: SubjectToken
  readonly heartbeat: HostHeartbeat
  readonly acceptsWork: boolean
  readonly acceptsFiles: boolean
  /** Where it serves HTTP, as seen from its own machine. */
  readonly url: string
}

export type FleetWorkload = HeraldWorkload & { readonly host: FleetHost }

/** What all Herald hosts of a lattice said of themselves at one moment. */
export type Fleet = {
  readonly hosts: readonly FleetHost[]
  readonly workloads: readonly FleetWorkload[]
  /** Hosts that did not say what they run, and why. */
  readonly silent: readonly { readonly host: FleetHost; readonly reason: string }[]
}

export type FleetOptions = {
  readonly quietMs?: number
  /** Whoever can answer on the lattice can call itself a host: more than so many are left out. Default 10,000. */
  readonly maxHosts?: number
  /** Of all hosts; more are left out. Default 100,000. */
  readonly maxWorkloads?: number
}

/** Speaks to the hosts of a lattice as the operator does, and asks Herald's own questions: docs/decisions/asking-hosts.md. */
export interface LatticeClient extends AsyncDisposable {
  /** As the user named it: for errors. */
  readonly servers: readonly string[]
  /** Waits `quietMs` after the last host that answered. @throws ERR_LATTICE_… */
  fleet(options?: FleetOptions): Promise<Fleet>
  /** @throws ERR_LATTICE_…; what the host thinks of it is in the status. */
  start(host: FleetHost, workloadId: string, workload: WireWorkload): Promise<WireWorkloadStatus>
  stop(host: FleetHost, workloadId: string): Promise<WireWorkloadStatus>
  /** Has `from` hand a workload on to `to`, secrets and all, without their coming here. */
  copy(from: FleetHost, workloadId: string, to: FleetHost, newWorkloadId: string): Promise<WireWorkloadStatus>
  drain(host: FleetHost): Promise<void>
  /** Lines of one workload, of all with `''`, until the signal aborts. Asks anew every third of the lease. */
  followLogs(
    hosts: readonly FleetHost[],
    workloadIds: ReadonlySet<string> | 'all',
    onLine: (line: LogLine) => void,
  ): Promise<void>
  /** Calls a function of a workload's component. @throws what the host refuses or the call ends with */
  call(host: FleetHost, request: Decoded<typeof callRequest>): Promise<Decoded<typeof callAnswer>>
  /** Callout services that tell whom they let in. */
  callouts(): Promise<readonly AuditSource[]>
  /** What a host or callout service remembers of what happened with identities, oldest first. */
  recentAudit(
    source: Pick<AuditSource, 'id' | 'kind'>,
    since: Date | undefined,
  ): Promise<{ readonly events: readonly AuditEvent[]; readonly truncated: boolean }>
  /** What the workloads of a host have done so far. */
  activity(host: FleetHost): Promise<readonly WorkloadActivity[]>
  /** What all hosts publish from now on, until disposed. */
  followAudit(onEvent: (event: AuditEvent) => void, onInvalid: (error: unknown) => void): AsyncDisposable
  /** Waits until NATS knows of all that is followed. */
  settled(): Promise<void>
}

const startTimeoutMs = 60_000
const stopTimeoutMs = 30_000
const askTimeoutMs = 5_000
/** Hosts asked at a time for what they run. */
const maxAsked = 64
const leaseMs = 15_000

/** Where the lattice is: the option, else the variable, else the context. @throws ERR_CONTEXT_INVALID */
export async function latticeTarget(
  options: LatticeOptions,
  environment: CliEnvironment,
): Promise<NatsOptions & NatsSvidOptions & { readonly nats: readonly string[] }> {
  const { nats = environment.natsUrls } = options
  if (nats !== undefined && options.context === undefined) return { ...options, nats }
  const contexts = await readContexts(environment.contextsFile)
  const name = options.context ?? environment.context ?? contexts.current
  const context = name === undefined ? { nats: ['nats://127.0.0.1:4222'] } : contextNamed(name, contexts)
  return { ...context, ...options, nats: nats ?? context.nats }
}

/** Connects, waiting at most 5 s. @throws ERR_LATTICE_UNREACHABLE, ERR_LATTICE_CONFIG, ERR_CONTEXT_INVALID */
export async function openLatticeClient(
  options: LatticeOptions,
  environment: CliEnvironment,
  { signal }: { signal: AbortSignal },
): Promise<LatticeClient> {
  const target = await latticeTarget(options, environment)
  const log = createLog({ level: options.verbose ? 'debug' : 'silent', destination: environment.stderr })
  await using stack = new AsyncDisposableStack()
  const own = usesOwnSvids(target) ? stack.use(await lazyOwnSpiffe(target, environment, log)) : undefined
  const lattice = stack.use(natsConnections(target, { log, own })('command'))
  try {
    await lattice.connected({ signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
  const owned = stack.move()
  return { ...createClient(lattice, target.nats, signal), [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function createClient(
  lattice: Lattice,
  servers: readonly string[],
  signal: AbortSignal,
): Omit<LatticeClient, keyof AsyncDisposable> {
  const ask = (
    host: FleetHost,
    request: Parameters<typeof heraldRequestSubject>[1],
    payload: Uint8Array,
    timeoutMs: number,
  ) => lattice.request(heraldRequestSubject(host.id, request), payload, { timeoutMs, signal })
  const statusOf = (payload: Uint8Array, host: FleetHost): WireWorkloadStatus => {
    const { workloadStatus } = parseMessage(workloadResponse, payload)
    if (workloadStatus !== undefined) return workloadStatus
    throw new HeraldError('ERR_CONTROL_MESSAGE_INVALID', `host ${nameOf(host)} answered without a status`)
  }
  /** A refusal has the shape of upstream's answers. */
  const refusalIn = (payload: Uint8Array): string | undefined => {
    try {
      return parseMessage(workloadResponse, payload).workloadStatus?.message
    } catch {
      return undefined
    }
  }

  return {
    servers,
    async fleet({ quietMs = 300, maxHosts = 10_000, maxWorkloads = 100_000 } = {}) {
      const answers = await lattice.requestMany(heraldHosts, Buffer.from('{}'), { quietMs, timeoutMs: 5_000, signal })
      const hosts = answers
        .slice(0, maxHosts)
        .flatMap(toHost)
        .toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
      const silent: { host: FleetHost; reason: string }[] = []
      let left = maxWorkloads
      const lists = await mapAtMost(maxAsked, hosts, async (host) => {
        try {
          const { workloads, truncated } = parseMessage(
            inventory,
            await ask(host, 'workloads', Buffer.from('{}'), askTimeoutMs),
          )
          if (truncated || workloads.length > left)
            silent.push({ host, reason: 'it runs more than it can list in one message' })
          const kept = workloads.slice(0, left)
          left -= kept.length
          return kept.map((workload) => ({ ...workload, host }))
        } catch (error) {
          signal.throwIfAborted()
          silent.push({ host, reason: isHeraldError(error) ? error.message : String(error) })
          return []
        }
      })
      return { hosts, workloads: lists.flat(), silent }
    },
    async start(host, workloadId, workload) {
      const payload = formatMessage(workloadStartRequest, { workload, workloadId })
      const subject = hostCommandSubject(host.id, 'workload.start')
      return statusOf(await lattice.request(subject, payload, { timeoutMs: startTimeoutMs, signal }), host)
    },
    async stop(host, workloadId) {
      const subject = hostCommandSubject(host.id, 'workload.stop')
      const payload = formatMessage(workloadStopRequest, { workloadId })
      // Not the signal: what an interrupted command began is taken back.
      return statusOf(await lattice.request(subject, payload, { timeoutMs: stopTimeoutMs }), host)
    },
    async copy(from, workloadId, to, newWorkloadId) {
      const payload = formatMessage(copyRequest, { workloadId, toHostId: to.id, newWorkloadId })
      return statusOf(await ask(from, 'workload.copy', payload, startTimeoutMs + askTimeoutMs), to)
    },
    async drain(host) {
      const payload = await ask(host, 'drain', Buffer.from('{}'), askTimeoutMs)
      const refusal = refusalIn(payload)
      if (refusal !== undefined) throw new HeraldError('ERR_DEPLOY_FAILED', `${nameOf(host)}: ${refusal}`)
      parseMessage(drainAnswer, payload)
    },
    async followLogs(hosts, workloadIds, onLine) {
      const reader = parseSubjectToken(crypto.randomUUID(), 'the reader')
      await using _ = lattice.subscribe(heraldLogSubject(reader), {
        handle: ({ payload }) => {
          const line = parseMessage(logLine, payload)
          if (workloadIds === 'all' || workloadIds.has(line.workloadId)) onLine(line)
        },
      })
      const [only, ...others] = workloadIds === 'all' ? [] : workloadIds
      const workloadId = others.length === 0 ? (only ?? '') : ''
      const request = formatMessage(logsRequest, { reader, workloadId, leaseMs })
      // A sleep of the clock does not keep a process alive.
      const alive = setInterval(() => {}, 60_000)
      try {
        while (!signal.aborted) {
          const results = await Promise.allSettled(
            hosts.map(async (host) => parseMessage(logsAnswer, await ask(host, 'logs', request, askTimeoutMs))),
          )
          const failure = results.find((result) => result.status === 'rejected')
          if (failure !== undefined && !signal.aborted && results.every(({ status }) => status === 'rejected'))
            throw failure.reason
          await systemClock.sleep(leaseMs / 3, { signal }).catch(() => {})
        }
      } finally {
        clearInterval(alive)
      }
    },
    async call(host, request) {
      const payload = await ask(host, 'call', formatMessage(callRequest, request), request.timeoutMs + askTimeoutMs)
      const refusal = refusalIn(payload)
      if (refusal === undefined) return parseMessage(callAnswer, payload)
      // `ERR_CODE: what — what to do`, as the host describes its errors.
      const {
        code = '',
        what = refusal,
        hint,
      } = /^(?<code>ERR_[A-Z_]+): (?<what>.*?)(?: — (?<hint>.*))?$/s.exec(refusal)?.groups ?? {}
      throw new HeraldError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'ERR_CALL_FAILED', what, {
        ...(hint !== undefined && { hint }),
      })
    },
    callouts: () => askCallouts(lattice, signal),
    recentAudit: (source, since) => askAudit(lattice, source, since, { timeoutMs: askTimeoutMs, signal }),
    activity: (host) => askActivity(lattice, host.id, { timeoutMs: askTimeoutMs, signal }),
    followAudit: (onEvent, onInvalid) => followAudit(lattice, onEvent, onInvalid),
    settled: () => lattice.flush({ signal }),
  }
}

/** Hosts of another version, or whoever else answers, are left out. */
function toHost(payload: Uint8Array): FleetHost[] {
  try {
    const { heartbeat, ...rest } = parseMessage(heraldHost, payload)
    if (heartbeat === undefined) return []
    return [{ id: parseSubjectToken(heartbeat.id, 'the id of a host'), heartbeat, ...rest }]
  } catch {
    return []
  }
}

export function nameOf({ id, heartbeat }: FleetHost): string {
  return heartbeat.friendlyName === '' ? id : heartbeat.friendlyName
}

/** By id, the beginning of one (8 characters at least), or friendly name. @throws ERR_HOST_NOT_FOUND */
export function findHost(hosts: readonly FleetHost[], wanted: string): FleetHost {
  const found = hosts.filter(
    (host) => host.id === wanted || nameOf(host) === wanted || (wanted.length >= 8 && host.id.startsWith(wanted)),
  )
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  const names = hosts.map(nameOf).join(', ')
  throw new HeraldError(
    'ERR_HOST_NOT_FOUND',
    only === undefined ? `no host ${wanted} answers` : `several hosts are ${wanted}`,
    {
      hint:
        only !== undefined
          ? `name one by its id: ${found.map(({ id }) => id).join(', ')}`
          : names === ''
            ? 'no Herald host answers on this lattice'
            : `there are: ${names}`,
    },
  )
}
