import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Lattice, LatticeMessage } from '../lattice/lattice.ts'
import { heartbeatSubject, hostCommandPattern, parseHostCommand } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import type { ControlledHost, HostSummary } from './controlled-host.ts'
import { makeHeartbeat } from './heartbeat.ts'
import { answerHeraldRequests, type InventoriedHost } from './herald-requests.ts'
import { checkHostIdentity, type HostIdentity } from './host-identity.ts'
import { createMachineMeter } from './machine-facts.ts'
import {
  type HostHeartbeat,
  heartbeatRequest,
  hostHeartbeat,
  type WireWorkload,
  type WireWorkloadState,
  workloadResponse,
  workloadStartRequest,
  workloadStatusRequest,
  workloadStopRequest,
} from './messages.ts'
import { watchNeighbours } from './neighbours.ts'
import { findOrphans, OperatorPresence, type OrphanRule } from './orphans.ts'
import { formatMessage, invalid, parseMessage } from './proto-json.ts'
import { workloadFromWire } from './workload-from-wire.ts'
import { createWorkloadTable, type TableStatus } from './workload-table.ts'

export type ControlOptions = {
  /** Stays the caller's. */
  readonly lattice: Lattice
  /** Stays the caller's: disposal of the control room stops no workload. */
  readonly host: ControlledHost
  readonly identity: HostIdentity
  readonly log: Log
  readonly clock: Clock
  /** Default 15,000, upstream's. */
  readonly heartbeatIntervalMs?: number
  /** Default 50,000: the operator waits 60 s. */
  readonly startTimeoutMs?: number
  /** Default 25,000: the operator waits 30 s. */
  readonly stopTimeoutMs?: number
  /** Default: stop after ten minutes of silence. */
  readonly orphans?: OrphanRule
  /**
   * How long a running workload takes requests after the operator has stopped it, ms. The operator takes its host out of the endpoints of a Service
   * only after the answer to `workload.stop`. Default 0.
   */
  readonly stopDelayMs?: number
  /** How often orphans are looked for, ms. Default 15,000. */
  readonly orphanSweepMs?: number
  /** See {@link workloadFromWire}. Default false. */
  readonly allowFileImages?: boolean
  /** Answers Herald's own requests too: docs/decisions/asking-hosts.md. Default: upstream's protocol only. */
  readonly inventoried?: InventoriedHost
  /** Called when this host begins to keep silent, since an elder one has its id, and when it ends to. */
  readonly onSilence?: (silent: boolean) => void
}

/** Speaks upstream's host protocol for one host. Disposal stops the heartbeats and takes no more requests; answers under way are given. */
export interface Control extends AsyncDisposable {
  /**
   * New workloads are refused from now on, and heartbeats end: one would bring back the Host object that the operator has deleted with the pod,
   * and work with it. Status and stop are still answered.
   */
  refuseStarts(): void
}

/** Larger than any workload; the server's own limit is 1 MiB unless it was raised. */
const maxMessageBytes = 1024 * 1024
const maxStatusMessageLength = 2_000

/** @throws ERR_CONTROL_IDENTITY_INVALID, ERR_LATTICE_SUBJECT_INVALID */
export function createControl(options: ControlOptions): Control {
  const {
    lattice,
    host,
    identity,
    log,
    clock,
    heartbeatIntervalMs = 15_000,
    startTimeoutMs = 50_000,
    stopTimeoutMs = 25_000,
    stopDelayMs = 0,
  } = options
  const { orphans = { kind: 'stop', afterMs: 600_000 }, orphanSweepMs = 15_000, allowFileImages = false } = options
  const hostId = checkHostIdentity(identity)
  const startedAt = new Date(clock.nowMs())
  const measure = createMachineMeter()
  const table = createWorkloadTable({ host, log, clock, startTimeoutMs, stopTimeoutMs, stopDelayMs })
  const presence = new OperatorPresence()
  const ending = new AbortController()
  /** As they came, of the workloads that are known. */
  const wires = new Map<string, WireWorkload>()
  let accepting = true
  /** Two hosts with one id would both run what one of them is to run: so the one that was started later keeps silent while it hears the other. */
  let elderHeardMs = Number.NEGATIVE_INFINITY
  let silent = false
  const keepsSilent = (): boolean => clock.nowMs() - elderHeardMs < 2.5 * heartbeatIntervalMs
  let lastSummary: HostSummary = { workloadCount: 0, componentCount: 0, imports: [], exports: [], httpPort: 0 }

  function currentHeartbeat(): HostHeartbeat {
    try {
      lastSummary = host.summary()
    } catch (error) {
      log.error(
        { event: 'control.summary-failed', err: error },
        'the host cannot say what it runs; the last heartbeat is repeated',
      )
    }
    return makeHeartbeat(identity, startedAt, measure(), lastSummary)
  }

  const heartbeat = (): Uint8Array => formatMessage(hostHeartbeat, currentHeartbeat())

  /** What is asked of this id is the elder's to answer: Herald's own questions too. */
  function lookWhetherSilent(): void {
    if (silent === keepsSilent() || ending.signal.aborted) return
    silent = !silent
    const about = { hostId, friendlyName: identity.friendlyName }
    if (silent) {
      const hint = 'this one was started later: it says nothing and takes no work; end it, or give it its own --host-id'
      log.error({ event: 'control.silent', ...about }, `another host has the same id. ${hint}`)
      void herald?.[Symbol.asyncDispose]()
      herald = undefined
    } else {
      log.warn({ event: 'control.speaks-again', ...about }, 'the other host with this id is gone')
      herald = answerHerald()
    }
    options.onSilence?.(silent)
  }

  function announce(): void {
    lookWhetherSilent()
    if (lattice.state.kind !== 'connected' || !accepting || keepsSilent()) return
    try {
      lattice.publish(heartbeatSubject(hostId), heartbeat())
    } catch (error) {
      log.warn({ event: 'control.heartbeat-failed', code: codeOf(error) }, 'a heartbeat could not be sent')
    }
  }

  /** Every 15 s on its own, so that nothing that is asked of the host can delay it. */
  async function keepAnnouncing(): Promise<void> {
    announce()
    while (!ending.signal.aborted) {
      await clock.sleep(heartbeatIntervalMs, { signal: ending.signal }).catch(() => {})
      if (!ending.signal.aborted) announce()
    }
  }

  async function keepCollecting(): Promise<void> {
    while (!ending.signal.aborted) {
      await clock.sleep(orphanSweepMs, { signal: ending.signal }).catch(() => {})
      if (ending.signal.aborted) return
      for (const workloadId of findOrphans(orphans, table.lastAsked(), presence, clock.nowMs())) {
        log.warn({ event: 'control.orphan', workloadId }, 'the operator has forgotten this workload; stopping it')
        void table.stop(workloadId).then(() => forgetWire(workloadId))
      }
    }
  }

  async function answer(message: LatticeMessage): Promise<void> {
    const command = parseHostCommand(hostId, message.subject)
    if (command === undefined) {
      log.warn(
        { event: 'control.unknown-command', subject: message.subject.slice(0, 200) },
        'asked for something the protocol does not have',
      )
      return
    }
    if (keepsSilent()) return
    if (command === 'heartbeat') {
      try {
        checkSize(message.payload)
        // An empty body is no JSON, and yet what a person sends by hand.
        if (message.payload.length > 0) parseMessage(heartbeatRequest, message.payload)
      } catch (error) {
        logMalformed(command, error)
      }
      // There is nothing in the question; the answer is the same.
      presence.seen(clock.nowMs())
      if (accepting) message.reply(heartbeat())
      return
    }
    let workloadId = ''
    let status: TableStatus
    try {
      checkSize(message.payload)
      workloadId = salvageId(message.payload)
      status = await handlers[command](message.payload)
    } catch (error) {
      logMalformed(command, error)
      status = {
        state: 'error',
        message: isHeraldError(error) ? error.describe() : 'ERR_INTERNAL: look at the log of the host',
      }
    }
    const workloadStatus = {
      workloadId,
      workloadState: wireStates[status.state],
      message: status.message.slice(0, maxStatusMessageLength).toWellFormed(),
    }
    message.reply(formatMessage(workloadResponse, { workloadStatus }))
  }

  function forgetWire(workloadId: string): void {
    if (host.status(workloadId) === undefined) wires.delete(workloadId)
  }

  const handlers = {
    'workload.start': async (payload: Uint8Array) => {
      const { workloadId, workload } = parseMessage(workloadStartRequest, payload)
      checkId(workloadId)
      if (workload === undefined) throw invalid('workload', 'is missing')
      if (options.inventoried !== undefined && host.status(workloadId) === undefined) wires.set(workloadId, workload)
      const status = await table.start(workloadId, () => ({
        workloadId,
        ...workloadFromWire(workload, { allowFileImages }),
      }))
      forgetWire(workloadId)
      return status
    },
    'workload.status': async (payload: Uint8Array) => {
      const { workloadId } = parseMessage(workloadStatusRequest, payload)
      return table.status(checkId(workloadId))
    },
    'workload.stop': async (payload: Uint8Array) => {
      const { workloadId } = parseMessage(workloadStopRequest, payload)
      const stopped = await table.stop(checkId(workloadId))
      forgetWire(workloadId)
      return stopped
    },
  }

  function logMalformed(command: string, error: unknown): void {
    if (isHeraldError(error)) log.warn({ event: 'control.request-refused', command, code: error.code }, error.message)
    else log.error({ event: 'control.request-failed', command, err: error }, 'a request could not be handled')
  }

  const answerHerald = () =>
    options.inventoried &&
    answerHeraldRequests({
      lattice,
      host: options.inventoried,
      hostId,
      heartbeat: currentHeartbeat,
      wireOf: (workloadId) => wires.get(workloadId),
      isStopping: (workloadId) => table.peek(workloadId).state === 'stopping',
      acceptsWork: () => accepting,
      log,
      clock,
    })
  let herald = answerHerald()
  const requests = lattice.subscribe(hostCommandPattern(hostId), { handle: answer })
  const neighbours = watchNeighbours(lattice, {
    ...{ identity, startedAt, log },
    onSameId(other) {
      if (other === 'elder') {
        elderHeardMs = clock.nowMs()
        lookWhetherSilent()
      }
      // So that it knows at once.
      else announce()
    },
  })
  const stopListening = lattice.onStateChange((state) => {
    if (state.kind === 'connected') announce()
    else presence.forget()
  })
  void keepAnnouncing()
  void keepCollecting()
  log.info(
    { event: 'control.started', hostId, friendlyName: identity.friendlyName, labels: identity.labels },
    'answering the operator',
  )

  let disposal: Promise<void> | undefined
  return {
    refuseStarts: () => {
      accepting = false
      table.refuseStarts()
    },
    [Symbol.asyncDispose]() {
      disposal ??= (async () => {
        ending.abort()
        stopListening()
        table.refuseStarts()
        table.abortStarts()
        await Promise.all([requests, neighbours, herald].map((each) => each?.[Symbol.asyncDispose]()))
      })()
      return disposal
    },
  }
}

const wireStates: Readonly<Record<TableStatus['state'], WireWorkloadState>> = {
  starting: 'WORKLOAD_STATE_STARTING',
  running: 'WORKLOAD_STATE_RUNNING',
  completed: 'WORKLOAD_STATE_COMPLETED',
  stopping: 'WORKLOAD_STATE_STOPPING',
  error: 'WORKLOAD_STATE_ERROR',
  'not-found': 'WORKLOAD_STATE_NOT_FOUND',
}

function checkSize(payload: Uint8Array): void {
  if (payload.length > maxMessageBytes)
    throw invalid('', `the message has ${payload.length} bytes, more than the ${maxMessageBytes} this host reads`)
}

function checkId(workloadId: string): string {
  if (workloadId === '' || workloadId.length > 253 || /[\u0000-\u001f\u007f]/.test(workloadId))
    throw invalid('workloadId', 'must be 1 to 253 printable characters')
  return workloadId
}

/** The id of a request that may be wrong in any other way: an answer without it helps nobody. */
function salvageId(payload: Uint8Array): string {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
    const { workloadId, workload_id: protoName } = value as { workloadId?: unknown; workload_id?: unknown }
    const found = workloadId ?? protoName
    return typeof found === 'string' ? found.slice(0, 253).toWellFormed() : ''
  } catch {
    return ''
  }
}

function codeOf(error: unknown): string {
  return error instanceof HeraldError ? error.code : 'ERR_INTERNAL'
}
