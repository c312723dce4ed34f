import { Agent, type AgentOptions, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps, Agent as SecureAgent } from 'node:https'
import type { RequestSigner, RequestSigning } from '../../capabilities/capability.ts'
import type { CarriedTrace } from '../../observability/trace-context.ts'
import type { Tracer } from '../../observability/tracer.ts'
import type { AddressPolicy } from '../network/address-policy.ts'
import { type AllowedHosts, type Origin, parseOrigin } from '../network/allowed-hosts.ts'
import { addressRefusal, guardedLookup, type ResolveName } from '../network/guarded-lookup.ts'
import { parseIp } from '../network/ip-address.ts'
import { ConnectingAgent } from './connecting-agent.ts'
import type { HeaderPair } from './fields.ts'
import { HttpFailure } from './http-failure.ts'

/** Requests of one component that may be under way at once. */
const maxRequestsInFlight = 256
/** Bodies of one component that wait to be signed whole, bytes in all. */
const maxKeptBytes = 64 * 1024 * 1024

export type Refusal = { readonly target: string; readonly reason: string }

export type HttpClientOptions = {
  readonly allowedHosts: AllowedHosts
  readonly policy: AddressPolicy
  readonly resolve: ResolveName
  /** One call per request that policy refused. */
  readonly onRefusal: (refusal: Refusal) => void
  /** Certificates to trust instead of the system's, PEM. */
  readonly ca: string | undefined
  readonly signers: readonly RequestSigner[]
  /** One call per request that is started and that nobody signs, with the host it goes to. */
  readonly onSent: (host: string) => void
  /** Makes spans of requests; they pass a context on without it too. */
  readonly tracer: Tracer | undefined
}

export type ClientCall = {
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly method: string
  readonly path: string
  readonly headers: readonly HeaderPair[]
  /** What its signing belongs to. */
  readonly trace?: CarriedTrace | undefined
  readonly connectTimeoutMs: number
  readonly firstByteTimeoutMs: number
  /** See `RequestSigning.connect`. */
  readonly connect?: Connect
}

type Connect = NonNullable<RequestSigning['connect']>

/**
 * Sends the requests of one component: only to allowed origins, never to forbidden addresses, over connections that are kept alive and
 * shared by its instances and by nobody else. Redirects are the guest's business.
 */
export class HttpClient {
  readonly #options: HttpClientOptions
  readonly #agent: Agent
  readonly #shape: AgentOptions
  readonly #agents = new WeakMap<Connect, Agent>()
  readonly #secureAgent: SecureAgent
  #inFlight = 0
  #keptBytes = 0

  constructor(options: HttpClientOptions) {
    this.#options = options
    const shape = { keepAlive: true, maxSockets: maxRequestsInFlight, maxFreeSockets: 16, scheduling: 'lifo' } as const
    this.#shape = shape
    this.#agent = new Agent(shape)
    this.#secureAgent = new SecureAgent({ ...shape, ...(options.ca !== undefined && { ca: options.ca }) })
  }

  /**
   * Starts a request; its body is still to be written and ended.
   * @param settled the response's head, or why there will be none; called once, never synchronously
   * @throws HttpFailure when it is refused at once
   */
  start(call: ClientCall, settled: (result: IncomingMessage | Error) => void): ClientRequest {
    const { origin, match } = this.#admit(call)
    const made = call.connect === undefined ? undefined : this.#agentOf(call.connect)
    const secure = call.scheme === 'https' && made === undefined
    const request = (secure ? requestHttps : requestHttp)({
      host: origin.host,
      port: origin.port,
      method: call.method,
      path: call.path,
      ...(made !== undefined && { defaultPort: 443 }),
      agent: made ?? (secure ? this.#secureAgent : this.#agent),
      lookup: guardedLookup(this.#options.resolve, (address) => {
        const refusal = addressRefusal(this.#options.policy, origin, match, address)
        if (refusal !== undefined) this.#refused(origin, `it resolves to ${refusal}`)
        return refusal
      }),
    })
    for (const [name, value] of call.headers) request.appendHeader(name, value)
    this.#watch(request, call, settled)
    return request
  }

  /** {@link start}, of one that nobody signs. */
  startUnsigned(call: ClientCall, settled: (result: IncomingMessage | Error) => void): ClientRequest {
    const request = this.start(call, settled)
    this.#options.onSent(request.host)
    return request
  }

  /** One for each way to connect: no request gets a connection that was made for others. */
  #agentOf(connect: Connect): Agent {
    const agent = this.#agents.get(connect) ?? new ConnectingAgent(connect, this.#shape)
    this.#agents.set(connect, agent)
    return agent
  }

  /**
   * How requests like this one are signed, if they are.
   * @throws HttpFailure when it is refused: like {@link start}, and for fields that are the signer's to set
   */
  signingOf(call: ClientCall): RequestSigning | undefined {
    const { signers } = this.#options
    if (signers.length === 0) return undefined
    const { origin } = this.#admit(call)
    for (const signer of signers) {
      const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host
      const signing = signer.signingOf(`${origin.scheme}://${host}:${origin.port}`)
      if (signing === undefined) continue
      const refusal = signing.refusalOf(call)
      if (refusal !== undefined) throw this.#refused(origin, refusal)
      return signing
    }
    return undefined
  }

  get tracer(): Tracer | undefined {
    return this.#options.tracer
  }

  /** Takes the place of a request that is not started yet. @returns the function that gives it back, idempotent */
  reserve(): () => void {
    this.#inFlight++
    let held = true
    return () => {
      if (held) this.#inFlight--
      held = false
    }
  }

  /** Memory for bodies that are kept until they are known whole. @throws HttpFailure when there is too much of it */
  keepBytes(count: number): void {
    if (this.#keptBytes + count > maxKeptBytes) throw new HttpFailure({ tag: 'connection-limit-reached' })
    this.#keptBytes += count
  }

  releaseBytes(count: number): void {
    this.#keptBytes -= count
  }

  /** @throws HttpFailure */
  #admit({ scheme, authority }: ClientCall): { origin: Origin; match: 'exact' | 'wildcard' } {
    const origin = parseOrigin(scheme, authority)
    if (origin === undefined) throw new HttpFailure({ tag: 'HTTP-request-URI-invalid' })
    const match = this.#options.allowedHosts.match(origin)
    if (match === undefined) throw this.#refused(origin, 'it is not among the allowedHosts')
    const literal = parseIp(origin.host)
    if (literal !== undefined) {
      const refusal = addressRefusal(this.#options.policy, origin, match, literal)
      if (refusal !== undefined) throw this.#refused(origin, `it is ${refusal}`)
    }
    if (this.#inFlight >= maxRequestsInFlight) throw new HttpFailure({ tag: 'connection-limit-reached' })
    return { origin, match }
  }

  #watch(request: ClientRequest, call: ClientCall, settled: (result: IncomingMessage | Error) => void): void {
    this.#inFlight++
    let open = true
    const settle = (result: IncomingMessage | Error): void => {
      if (!open) return
      open = false
      clearTimeout(timer)
      settled(result)
    }
    const expire = (tag: 'connection-timeout' | 'connection-read-timeout'): void => {
      const failure = new HttpFailure({ tag })
      settle(failure)
      request.destroy(failure)
    }
    let timer = setTimeout(expire, call.connectTimeoutMs, 'connection-timeout')
    const connected = (): void => {
      if (!open) return
      clearTimeout(timer)
      timer = setTimeout(expire, call.firstByteTimeoutMs, 'connection-read-timeout')
    }
    request.on('socket', (socket) => {
      if (!socket.connecting) connected()
      else socket.once(call.scheme === 'https' && call.connect === undefined ? 'secureConnect' : 'connect', connected)
    })
    request.on('response', settle)
    request.on('upgrade', (_response, socket) => {
      socket.destroy()
      settle(new HttpFailure({ tag: 'HTTP-upgrade-failed' }))
    })
    request.on('error', settle)
    request.on('close', () => {
      this.#inFlight--
      settle(new HttpFailure({ tag: 'connection-terminated' }))
    })
  }

  #refused(origin: Origin, reason: string): HttpFailure {
    this.#options.onRefusal({ target: `${origin.scheme}://${origin.host}:${origin.port}`, reason })
    return new HttpFailure({ tag: 'HTTP-request-denied' })
  }
}
