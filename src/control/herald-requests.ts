import type { Clock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Lattice, LatticeMessage } from '../lattice/lattice.ts'
import {
  heraldHosts,
  heraldLogSubject,
  heraldRequestPattern,
  hostCommandSubject,
  parseHeraldRequest,
  parseSubjectToken,
  type Subject,
  type SubjectToken,
} from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import type { AuditFeed } from './herald-audit-feed.ts'
import {
  activityAnswer,
  activityRequest,
  callAnswer,
  callRequest,
  copyRequest,
  drainAnswer,
  drainRequest,
  type HeraldWorkload,
  heraldHost,
  inventory,
  inventoryRequest,
  type LogLine,
  logLine,
  logsAnswer,
  logsRequest,
  type WorkloadActivity,
} from './herald-messages.ts'
import {
  type HostHeartbeat,
  type WireWorkload,
  type WireWorkloadState,
  workloadResponse,
  workloadStartRequest,
} from './messages.ts'
import { type Decoded, formatMessage, invalid, parseMessage } from './proto-json.ts'
import { rememberedAudit } from './remembered-audit.ts'

/** What Herald's own requests need of a host beyond upstream's protocol. The command fits the real one to it. */
export interface InventoriedHost {
  /** All workloads, those of manifest files too. Cheap and synchronous. */
  workloads(): readonly Omit<HeraldWorkload, 'annotations'>[]
  /** What they have done so far. Cheap and synchronous. */
  activity(): readonly WorkloadActivity[]
  readonly audit: AuditFeed
  /** Calls a function that a component of a workload exports. */
  call(request: Decoded<typeof callRequest>, options: { signal: AbortSignal }): Promise<Decoded<typeof callAnswer>>
  /** Takes no new work from now on, finishes what is in flight and leaves. */
  drain(): void
  /** Lines of components, as they are logged; returns how to stop that. */
  onOutput(listener: (line: Omit<LogLine, 'hostId'>) => void): () => void
  readonly url: string
  readonly acceptsFiles: boolean
}

export type HeraldRequestOptions = {
  readonly lattice: Lattice
  readonly host: InventoriedHost
  readonly hostId: SubjectToken
  readonly heartbeat: () => HostHeartbeat
  /** As it came; `undefined` for a workload that did not come over the lattice. */
  readonly wireOf: (workloadId: string) => WireWorkload | undefined
  /** Told to stop, and still there. */
  readonly isStopping: (workloadId: string) => boolean
  readonly acceptsWork: () => boolean
  readonly log: Log
  readonly clock: Clock
}

const maxAnswerBytes = 900_000
const maxLeaseMs = 60_000
const maxReaders = 32
const defaultCallMs = 30_000
const maxCallMs = 600_000
const maxLineLength = 8_192
/** The longest a start may take: the other host answers sooner. */
const copyTimeoutMs = 60_000

/** Answers what Herald's command asks beyond upstream's protocol. Disposal stops that. */
export function answerHeraldRequests(options: HeraldRequestOptions): AsyncDisposable {
  const { lattice, host, hostId, log, clock } = options
  const readers = new Map<Subject, { workloadId: string; untilMs: number }>()
  let stopOutput: (() => void) | undefined

  function describe(): Uint8Array {
    return formatMessage(heraldHost, {
      heartbeat: options.heartbeat(),
      acceptsWork: options.acceptsWork(),
      acceptsFiles: host.acceptsFiles,
      url: host.url,
    })
  }

  function list(): Uint8Array {
    const workloads: HeraldWorkload[] = []
    let bytes = 0
    for (const each of host.workloads()) {
      const state: WireWorkloadState = options.isStopping(each.workloadId) ? 'WORKLOAD_STATE_STOPPING' : each.state
      const entry = { ...each, state, annotations: options.wireOf(each.workloadId)?.annotations ?? {} }
      bytes += formatMessage(inventory, { workloads: [entry], truncated: false }).length
      if (bytes > maxAnswerBytes) return formatMessage(inventory, { workloads, truncated: true })
      workloads.push(entry)
    }
    return formatMessage(inventory, { workloads, truncated: false })
  }

  function activity(): Uint8Array {
    const all = host.activity()
    const workloads: WorkloadActivity[] = []
    let bytes = 0
    for (const each of all) {
      bytes += formatMessage(activityAnswer, { workloads: [each], truncated: false }).length
      if (bytes > maxAnswerBytes) break
      workloads.push(each)
    }
    return formatMessage(activityAnswer, { workloads, truncated: workloads.length < all.length })
  }

  /** What the workload was started with may hold secrets: it goes to the other host as it came to this one, and to nobody else. */
  async function copy(payload: Uint8Array): Promise<Uint8Array> {
    const { workloadId, toHostId, newWorkloadId } = parseMessage(copyRequest, payload)
    const workload = options.wireOf(workloadId)
    if (workload === undefined) {
      throw new HeraldError(
        'ERR_WORKLOAD_NOT_FOUND',
        `this host was not given the workload ${workloadId} over the lattice`,
        { hint: 'what a host runs from a manifest file cannot be copied: deploy it' },
      )
    }
    if (newWorkloadId === '') throw invalid('newWorkloadId', 'is missing')
    const subject = hostCommandSubject(parseSubjectToken(toHostId, 'the id of the other host'), 'workload.start')
    log.info({ event: 'control.copy', workloadId, newWorkloadId, toHostId }, 'handing a workload on')
    const message = formatMessage(workloadStartRequest, { workload, workloadId: newWorkloadId })
    return lattice.request(subject, message, { timeoutMs: copyTimeoutMs })
  }

  /** For whoever may ask this host at all, as for `drain`: who that is says NATS. */
  async function call(payload: Uint8Array): Promise<Uint8Array> {
    const asked = parseMessage(callRequest, payload)
    const timeoutMs = Math.min(asked.timeoutMs === 0 ? defaultCallMs : asked.timeoutMs, maxCallMs)
    const called = { workloadId: asked.workloadId, interface: asked.interface, function: asked.function }
    log.info({ event: 'control.call', ...called }, 'calling a function, asked over the lattice')
    const signal = AbortSignal.timeout(timeoutMs + 1_000)
    const answer = formatMessage(callAnswer, await host.call({ ...asked, timeoutMs }, { signal }))
    if (answer.length > maxAnswerBytes)
      throw new HeraldError('ERR_CALL_FAILED', 'the result is larger than a message holds')
    return answer
  }

  function lease(payload: Uint8Array): Uint8Array {
    const { reader, workloadId, leaseMs } = parseMessage(logsRequest, payload)
    if (reader.length < 20) throw invalid('reader', 'must be a random token of at least 20 characters')
    const subject = heraldLogSubject(parseSubjectToken(reader, 'the reader'))
    if (!readers.has(subject) && readers.size >= maxReaders) {
      throw new HeraldError('ERR_USAGE', `${maxReaders} readers follow the logs of this host already`, {
        hint: 'end one of them',
      })
    }
    const grantedMs = Math.min(leaseMs, maxLeaseMs)
    readers.set(subject, { workloadId, untilMs: clock.nowMs() + grantedMs })
    stopOutput ??= host.onOutput(pass)
    return formatMessage(logsAnswer, { leaseMs: grantedMs })
  }

  function pass(line: Omit<LogLine, 'hostId'>): void {
    const now = clock.nowMs()
    for (const [subject, { workloadId, untilMs }] of readers) {
      if (untilMs < now) {
        readers.delete(subject)
        continue
      }
      if (workloadId !== '' && workloadId !== line.workloadId) continue
      try {
        const text = line.text.slice(0, maxLineLength).toWellFormed()
        lattice.publish(subject, formatMessage(logLine, { ...line, text, hostId }))
      } catch {
        // The connection is down: a reader of logs misses lines then, and the host goes on.
      }
    }
    if (readers.size === 0) {
      stopOutput?.()
      stopOutput = undefined
    }
  }

  async function answer(message: LatticeMessage): Promise<void> {
    if (!message.wantsReply) return
    const request = parseHeraldRequest(hostId, message.subject)
    if (request === undefined) return
    try {
      if (message.payload.length > 65_536) throw invalid('', 'the message is larger than any of these')
      switch (request) {
        case 'workloads':
          parseMessage(inventoryRequest, message.payload)
          return message.reply(list())
        case 'workload.copy':
          return message.reply(await copy(message.payload))
        case 'logs':
          return message.reply(lease(message.payload))
        case 'audit':
          return message.reply(rememberedAudit(host.audit, message.payload))
        case 'call':
          return message.reply(await call(message.payload))
        case 'activity':
          parseMessage(activityRequest, message.payload)
          return message.reply(activity())
        case 'drain':
          parseMessage(drainRequest, message.payload)
          log.info({ event: 'control.drain_asked' }, 'asked over the lattice to drain')
          message.reply(formatMessage(drainAnswer, { draining: true }))
          return host.drain()
      }
    } catch (error) {
      log.warn(
        { event: 'control.herald-request-refused', request, code: isHeraldError(error) ? error.code : 'ERR_INTERNAL' },
        isHeraldError(error) ? error.message : 'a request could not be handled',
      )
      const workloadState: WireWorkloadState = 'WORKLOAD_STATE_ERROR'
      const why = isHeraldError(error) ? error.describe() : 'ERR_INTERNAL: look at the log of the host'
      const workloadStatus = { workloadId: '', workloadState, message: why.slice(0, 2_000).toWellFormed() }
      message.reply(formatMessage(workloadResponse, { workloadStatus }))
    }
  }

  const subscriptions = [
    lattice.subscribe(heraldHosts, { handle: (message) => message.reply(describe()) }),
    lattice.subscribe(heraldRequestPattern(hostId), { handle: answer }),
  ]
  return {
    async [Symbol.asyncDispose]() {
      stopOutput?.()
      await Promise.all(subscriptions.map((subscription) => subscription[Symbol.asyncDispose]()))
    },
  }
}
