import type { ClientRequest, IncomingMessage } from 'node:http'
import type { InstanceState } from '../instance-state.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
import { pairsOf, RequestBodySink, ResponseBodySource } from './client-bodies.ts'
import { Fields } from './fields.ts'
import type { ClientCall, HttpClient } from './http-client.ts'
import type { HttpErrorCode } from './http-error-code.ts'
import { HttpFailure, httpErrorCodeOf } from './http-failure.ts'
import { type BodyRules, IncomingBody, IncomingBodySource } from './incoming-body.ts'
import { methodToText } from './method.ts'
import type { OutgoingRequest } from './outgoing-request.ts'
import { traceOutgoing } from './outgoing-trace.ts'
import type { RequestOptions } from './request-options.ts'
import { sendSigned } from './signed-request.ts'

/** When the guest sets no timeout; the same as wasmtime's. */
const defaultTimeoutMs = 600_000

/** `wasi:http/outgoing-handler#handle`. @throws HttpErrorCode when the request cannot or may not be sent */
export function handleOutgoing(
  instance: InstanceState,
  client: HttpClient,
  rules: BodyRules,
  request: OutgoingRequest,
  options: RequestOptions | undefined,
): FutureIncomingResponse {
  instance.throwIfEnded()
  const scheme = request.scheme()?.tag ?? 'HTTPS'
  const authority = request.authority()
  const method = methodToText(request.method())
  const length = request.fields.contentLength()
  try {
    if (scheme === 'other') throw new HttpFailure({ tag: 'HTTP-protocol-error' })
    if (authority === undefined) throw new HttpFailure({ tag: 'HTTP-request-URI-invalid' })
    // A tunnel would let the guest talk to whatever is behind it.
    if (method === 'CONNECT') throw new HttpFailure({ tag: 'HTTP-request-method-invalid' })
    if (length === 'invalid') throw new HttpFailure({ tag: 'HTTP-protocol-error' })
    const future = new FutureIncomingResponse(instance, rules, durationMs(options?.betweenBytesTimeout()))
    const to = { scheme: scheme === 'HTTP' ? 'http' : 'https', authority, method } as const
    const traced = traceOutgoing(client.tracer, { ...to, headers: request.fields.pairs() }, instance.trace)
    future.onSettled = traced.settled
    const call: ClientCall = {
      ...to,
      path: requestTarget(request.pathWithQuery()),
      headers: traced.headers,
      trace: traced.trace,
      connectTimeoutMs: durationMs(options?.connectTimeout()),
      firstByteTimeoutMs: durationMs(options?.firstByteTimeout()),
    }
    const signing = client.signingOf(call)
    if (signing !== undefined) {
      sendSigned({ client, call, signing, sink: request.sink, hasLength: length !== undefined, future })
      request.markSent()
      return future
    }
    const sent = client.startUnsigned(call, (result) => future.settle(result))
    future.start(sent)
    request.markSent()
    if (request.sink === undefined) sent.end()
    else request.sink.attach(new RequestBodySink(sent, length !== undefined), false, () => {})
    return future
  } catch (error) {
    request.sink?.abandon('the request was not sent')
    throw error instanceof HttpFailure ? error.errorCode : error
  }
}

function requestTarget(path: string | undefined): string {
  if (path === undefined || path === '') return '/'
  return path.startsWith('?') ? `/${path}` : path
}

function durationMs(nanoseconds: bigint | undefined): number {
  if (nanoseconds === undefined) return defaultTimeoutMs
  // Longer than setTimeout can count is as good as the default.
  const ms = nanoseconds / 1_000_000n
  return ms > 2_147_483_647n ? 2_147_483_647 : Number(ms)
}

type ResponseResult =
  | { readonly tag: 'ok'; readonly val: IncomingResponse }
  | { readonly tag: 'err'; readonly val: HttpErrorCode }

/** `wasi:http/types#future-incoming-response`. Dropping it before the response has come gives the request up. */
export class FutureIncomingResponse extends Waitable {
  /** Told what became of the request. */
  onSettled: ((result: IncomingMessage | Error) => void) | undefined
  readonly #instance: InstanceState
  readonly #rules: BodyRules
  readonly #betweenBytesMs: number
  #request: ClientRequest | undefined
  #preparation: AbortController | undefined
  #result: ResponseResult | undefined
  #taken = false

  constructor(instance: InstanceState, rules: BodyRules, betweenBytesMs: number) {
    super()
    this.#instance = instance
    this.#rules = rules
    this.#betweenBytesMs = betweenBytesMs
  }

  /** Until `settle`, what precedes the request is given up like the request itself. */
  prepareWith(preparation: AbortController): void {
    this.#preparation = preparation
    const closable = { close: () => preparation.abort(new Error('the instance has ended')) }
    this.#instance.adopt(closable)
    preparation.signal.addEventListener('abort', () => this.#instance.release(closable))
  }

  start(request: ClientRequest): void {
    this.#request = request
    const closable = { close: () => void request.destroy() }
    request.on('close', () => this.#instance.release(closable))
    this.#instance.adopt(closable)
  }

  settle(result: IncomingMessage | Error): void {
    this.onSettled?.(result)
    this.onSettled = undefined
    if (result instanceof Error) {
      this.#result = { tag: 'err', val: httpErrorCodeOf(result) }
    } else {
      const body = new IncomingBodySource(new ResponseBodySource(result, this.#betweenBytesMs), this.#rules)
      this.#result = { tag: 'ok', val: new IncomingResponse(this.#instance, result, body) }
    }
    this.#preparation?.abort(new Error('the request is answered'))
    this.wake()
  }

  override ready(): boolean {
    return this.#result !== undefined
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  get():
    | { readonly tag: 'ok'; readonly val: ResponseResult }
    | { readonly tag: 'err'; readonly val: undefined }
    | undefined {
    this.#instance.throwIfEnded()
    if (this.#result === undefined) return undefined
    if (this.#taken) return { tag: 'err', val: undefined }
    this.#taken = true
    return { tag: 'ok', val: this.#result }
  }

  [Symbol.dispose](): void {
    if (this.#taken) return
    this.#preparation?.abort(new Error('the guest gave the request up'))
    this.#request?.destroy()
  }
}

/** `wasi:http/types#incoming-response`. */
export class IncomingResponse {
  readonly #instance: InstanceState
  readonly #response: IncomingMessage
  readonly #body: IncomingBodySource
  #consumed = false

  constructor(instance: InstanceState, response: IncomingMessage, body: IncomingBodySource) {
    this.#instance = instance
    this.#response = response
    this.#body = body
  }

  status(): number {
    return this.#response.statusCode ?? 0
  }

  headers(): Fields {
    return Fields.received(pairsOf(this.#response.rawHeaders))
  }

  /** Succeeds once. */
  consume(): IncomingBody {
    if (this.#consumed) throw undefined
    this.#consumed = true
    return new IncomingBody(this.#instance, this.#body)
  }

  [Symbol.dispose](): void {
    if (!this.#consumed) this.#body.cancel()
  }
}
