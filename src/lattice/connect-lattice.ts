import { connect, DebugEvents, Events, type NatsConnection, RequestStrategy, type Status } from 'nats'
import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { KeptMessages } from './kept-messages.ts'
import { NatsKvBucket } from './kv-bucket.ts'
import type { Lattice, LatticeState, PublishOptions } from './lattice.ts'
import { fromNatsError, natsReason } from './nats-errors.ts'
import { type LatticeCredentials, type LatticeTls, natsAuthenticator, natsTls, parseServers } from './nats-options.ts'
import { NatsRequests } from './nats-requests.ts'
import { NatsSubscription } from './nats-subscription.ts'
import { openObjectBucket } from './object-bucket.ts'
import { traceHeaders } from './trace-headers.ts'

export type ConnectLatticeOptions = {
  /** `nats://host:4222` or `tls://…`; several of one cluster. */
  readonly servers: readonly string[]
  /** What the connection is for: `control`. Several connections of one process differ by it. */
  readonly name: string
  readonly credentials?: LatticeCredentials
  readonly tls?: LatticeTls | undefined
  readonly log: Log
  readonly clock: Clock
  /** In [0, 1); for jitter. */
  readonly random?: () => number
  /** Longest time one server may take to accept a connection, ms. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** A server that is silent for two of these is given up, ms. Default 20,000. */
  readonly pingIntervalMs?: number
  /** On disposal, the longest wait for messages in flight, ms. Default 5,000. */
  readonly drainTimeoutMs?: number
  /** Aborting it is like disposal without draining. */
  readonly signal?: AbortSignal
}

const maxReconnectDelayMs = 5_000

/**
 * Connects in the background and stays connected until disposed: a NATS server that is not there yet, ends, moves or refuses the
 * credentials is tried again without end, with growing jittered pauses. @throws ERR_LATTICE_CONFIG for what no retry can cure
 */
export function connectLattice(options: ConnectLatticeOptions): Lattice {
  const {
    name,
    log,
    clock,
    random = Math.random,
    connectTimeoutMs = 5_000,
    pingIntervalMs = 20_000,
    drainTimeoutMs = 5_000,
  } = options
  const { servers, tlsRequired } = parseServers(options.servers)
  const authenticator = natsAuthenticator(options.credentials)
  const closing = new AbortController()
  const listeners = new Set<(state: LatticeState) => void>()
  const subscriptions = new Set<NatsSubscription>()
  let state: LatticeState = { kind: 'connecting', lastError: undefined }
  let connection: NatsConnection | undefined
  /** Those over it. */
  let requests: NatsRequests | undefined
  const kept = new KeptMessages()
  let attempts = 0

  const delayMs = () => Math.min(100 * 2 ** Math.min(attempts, 10), maxReconnectDelayMs) * (0.5 + random() / 2)

  function setState(next: LatticeState): void {
    if (state.kind === 'closed') return
    const before = state
    state = next
    if (next.kind === 'connected') {
      attempts = 0
      sendKept()
    }
    if (before.kind !== next.kind) {
      const detail =
        next.kind === 'connected' ? { server: next.server } : 'lastError' in next ? { lastError: next.lastError } : {}
      log.info({ event: `lattice.${next.kind}`, connection: name, ...detail }, `the connection to NATS is ${next.kind}`)
    }
    for (const listener of [...listeners]) listener(next)
  }

  function down(error: unknown): void {
    const lastError = error === undefined ? undefined : natsReason(error)
    setState({ kind: state.kind === 'connecting' ? 'connecting' : 'reconnecting', lastError })
  }

  async function keepConnected(): Promise<void> {
    while (!closing.signal.aborted) {
      let established: NatsConnection
      let inboxPrefix: string | undefined
      try {
        const { credentials } = options
        if (credentials?.kind === 'svid') await credentials.ready({ signal: closing.signal })
        inboxPrefix = credentials?.kind === 'svid' ? credentials.inboxPrefix() : undefined
        established = await connect({
          ...(inboxPrefix !== undefined && { inboxPrefix }),
          servers,
          name: `herald ${name}`,
          timeout: connectTimeoutMs,
          pingInterval: pingIntervalMs,
          maxPingOut: 2,
          maxReconnectAttempts: -1,
          ignoreAuthErrorAbort: true,
          reconnectDelayHandler: delayMs,
          noAsyncTraces: true,
          ...natsTls(options.tls, tlsRequired, servers),
          ...(authenticator && { authenticator }),
        })
      } catch (error) {
        if (closing.signal.aborted) return
        attempts++
        down(error)
        const { code, message, hint } = fromNatsError(error, `connect to ${servers.join(', ')}`)
        // The first failure is news; a server that stays away is not.
        log[attempts === 1 ? 'warn' : 'debug'](
          { event: 'lattice.connect-failed', connection: name, code, attempt: attempts },
          `${message} (${hint ?? ''})`,
        )
        await clock.sleep(delayMs(), { signal: closing.signal }).catch(() => {})
        continue
      }
      if (closing.signal.aborted) return await established.close()
      connection = established
      const asked = new NatsRequests(established, inboxPrefix)
      requests = asked
      for (const subscription of subscriptions) subscription.bind(established)
      setState({ kind: 'connected', server: established.getServer() })
      void watch(established)
      const reason = await established.closed()
      asked.close()
      if (closing.signal.aborted) return
      connection = undefined
      requests = undefined
      down(reason)
    }
  }

  async function watch(watched: NatsConnection): Promise<void> {
    for await (const status of watched.status()) {
      if (connection !== watched || closing.signal.aborted) return
      onStatus(watched, status)
    }
  }

  function onStatus(watched: NatsConnection, { type, data, permissionContext }: Status): void {
    switch (type) {
      case Events.Disconnect:
        down(undefined)
        return
      case DebugEvents.Reconnecting:
        attempts++
        return
      case Events.Reconnect:
        setState({ kind: 'connected', server: watched.getServer() })
        return
      case Events.LDM:
        void leaveLameDuck(watched)
        return
      case Events.Error:
        if (permissionContext?.operation === 'publish') requests?.refused(permissionContext.subject)
        log.warn(
          { event: 'lattice.error', connection: name, reason: String(data), subject: permissionContext?.subject },
          'NATS reports an error',
        )
        return
      default:
        log.debug({ event: 'lattice.status', connection: name, type }, 'NATS status')
    }
  }

  /** A server in lame-duck mode takes no new clients and ends soon: move while there is time, unless there is nowhere to go. */
  async function leaveLameDuck(watched: NatsConnection): Promise<void> {
    const known = new Set([...servers, ...(watched.info?.connect_urls ?? [])])
    log.warn(
      { event: 'lattice.lame-duck', connection: name, server: watched.getServer(), others: known.size - 1 },
      'the NATS server is about to end',
    )
    if (known.size < 2) return
    // Spread, so that a thousand clients do not all knock at the next server at once.
    await clock.sleep(random() * 1_000, { signal: closing.signal }).catch(() => {})
    if (!closing.signal.aborted && connection === watched && !watched.isClosed()) await watched.reconnect()
  }

  function send(subject: string, payload: Uint8Array, { replyTo, trace }: PublishOptions = {}): void {
    if (closing.signal.aborted) throw closed()
    if (connection === undefined || state.kind !== 'connected') {
      if (replyTo !== undefined || !kept.add(subject, payload, clock.nowMs()))
        throw unreachable(`publish ${subject}`, lastErrorOf(state))
      return
    }
    try {
      const reply = replyTo === undefined ? undefined : { reply: replyTo }
      connection.publish(subject, payload, trace === undefined ? reply : { ...reply, headers: traceHeaders(trace) })
    } catch (error) {
      throw fromNatsError(error, `publish ${subject}`)
    }
  }

  function sendKept(): void {
    for (const { subject, payload } of kept.take(clock.nowMs())) {
      try {
        connection?.publish(subject, payload)
      } catch (error) {
        log.warn(
          { event: 'lattice.kept-lost', connection: name, subject, reason: natsReason(error) },
          'a kept message was not sent',
        )
      }
    }
  }

  function connected({ signal }: { signal: AbortSignal }): Promise<void> {
    if (state.kind === 'connected') return Promise.resolve()
    if (state.kind === 'closed') return Promise.reject(closed())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const listener = (next: LatticeState) => {
      if (next.kind === 'connected') settle(resolve)
      else if (next.kind === 'closed') settle(() => reject(closed()))
    }
    const abort = () => settle(() => reject(unreachable('connect', lastErrorOf(state), signal.reason)))
    // A process that has nothing to do but wait for NATS should not end instead.
    const keepAlive = setInterval(() => {}, 60_000)
    const settle = (action: () => void) => {
      clearInterval(keepAlive)
      listeners.delete(listener)
      signal.removeEventListener('abort', abort)
      action()
    }
    listeners.add(listener)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    return promise
  }

  const closed = () => new HeraldError('ERR_LATTICE_CLOSED', `the connection ${name} to NATS has been closed`)
  const unreachable = (what: string, reason: string | undefined, cause?: unknown) =>
    new HeraldError(
      'ERR_LATTICE_UNREACHABLE',
      `${what}: NATS at ${servers.join(', ')} cannot be reached${reason === undefined ? '' : `: ${reason}`}`,
      {
        hint: 'check that NATS is up and that this machine may reach it',
        cause,
      },
    )

  /** The connection as it is now, once it is up. @throws ERR_LATTICE_UNREACHABLE after `timeoutMs`, ERR_LATTICE_CLOSED */
  function live(timeoutMs: number): NatsConnection | Promise<NatsConnection> {
    return whenUp(timeoutMs, () => connection)
  }

  function whenUp<T>(timeoutMs: number, current: () => T | undefined): T | Promise<T> {
    const now = state.kind === 'connected' ? current() : undefined
    if (now !== undefined) return now
    return connected({ signal: AbortSignal.timeout(timeoutMs) }).then(() => {
      const then = current()
      if (then === undefined) throw unreachable('connect', lastErrorOf(state))
      return then
    })
  }

  let disposal: Promise<void> | undefined
  async function dispose(drain: boolean): Promise<void> {
    if (drain && connection !== undefined && state.kind === 'connected') {
      const drained = Promise.all([...subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()))
      await withinMs(
        drained.then(() => connection?.flush()),
        drainTimeoutMs,
      )
    }
    closing.abort()
    await connection?.close()
    setState({ kind: 'closed' })
    listeners.clear()
    subscriptions.clear()
  }

  async function withinMs(work: Promise<unknown>, limitMs: number): Promise<void> {
    const stop = new AbortController()
    const limit = clock.sleep(limitMs, { signal: stop.signal }).catch(() => {})
    await Promise.race([
      work.catch((error: unknown) =>
        log.debug({ event: 'lattice.drain-failed', connection: name, reason: natsReason(error) }, 'not drained'),
      ),
      limit,
    ])
    stop.abort()
  }

  const close = (drain: boolean) => {
    disposal ??= dispose(drain)
    return disposal
  }
  options.signal?.addEventListener('abort', () => void close(false), { once: true })
  if (options.signal?.aborted) void close(false)
  void keepConnected()

  return {
    name,
    get state() {
      return state
    },
    onStateChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    connected,
    publish: send,
    async request(subject, payload, { timeoutMs, signal, trace }) {
      const startedMs = clock.nowMs()
      signal?.throwIfAborted()
      if (state.kind !== 'connected') {
        const limit = AbortSignal.timeout(timeoutMs)
        const stop = signal === undefined ? limit : AbortSignal.any([signal, limit])
        await connected({ signal: stop }).catch((error: unknown) => {
          signal?.throwIfAborted()
          throw error
        })
      }
      try {
        if (requests === undefined) throw unreachable(`request ${subject}`, undefined)
        const leftMs = Math.max(1, timeoutMs - (clock.nowMs() - startedMs))
        const headers = trace && traceHeaders(trace)
        return (await requests.request(subject, payload, { timeoutMs: leftMs, signal, headers })).data
      } catch (error) {
        signal?.throwIfAborted()
        throw fromNatsError(error, `request ${subject}`)
      }
    },
    async requestMany(subject, payload, { quietMs, timeoutMs, signal }) {
      const limit = AbortSignal.timeout(timeoutMs)
      await connected({ signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) }).catch(
        (error: unknown) => {
          signal?.throwIfAborted()
          throw error
        },
      )
      if (connection === undefined) throw unreachable(`request ${subject}`, undefined)
      const answers: Uint8Array[] = []
      try {
        const strategy = RequestStrategy.JitterTimer
        for await (const { data } of await connection.requestMany(subject, payload, {
          strategy,
          maxWait: timeoutMs,
          jitter: quietMs,
        })) {
          signal?.throwIfAborted()
          answers.push(data)
        }
      } catch (error) {
        signal?.throwIfAborted()
        const known = fromNatsError(error, `request ${subject}`)
        if (known.code !== 'ERR_LATTICE_NO_RESPONDERS') throw known
      }
      return answers
    },
    subscribe(pattern, subscribeOptions) {
      if (closing.signal.aborted) throw closed()
      const subscription = new NatsSubscription(pattern, subscribeOptions, {
        log,
        name,
        send,
        onDispose: () => subscriptions.delete(subscription),
      })
      subscriptions.add(subscription)
      if (connection !== undefined) subscription.bind(connection)
      return subscription
    },
    async openKvBucket(name, { signal, ...bucketOptions }) {
      await connected({ signal })
      return NatsKvBucket.open(
        { live, requests: (timeoutMs) => whenUp(timeoutMs, () => requests) },
        name,
        bucketOptions,
      )
    },
    async openObjectBucket(name, { signal, ...bucketOptions }) {
      await connected({ signal })
      return openObjectBucket(live, name, bucketOptions)
    },
    renew() {
      if (!closing.signal.aborted) void connection?.reconnect()
    },
    async flush({ signal }) {
      await connected({ signal })
      await connection?.flush().catch((error: unknown) => {
        throw fromNatsError(error, 'flush')
      })
    },
    [Symbol.asyncDispose]: () => close(true),
  }
}

function lastErrorOf(state: LatticeState): string | undefined {
  return 'lastError' in state ? state.lastError : undefined
}
