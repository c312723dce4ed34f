import { createHash } from 'node:crypto'
import type { Clock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'
import { isLocalAddress, isLoopbackHost } from './loopback.ts'
import type { OciCredentials } from './oci-credentials.ts'
import { answerChallenge, parseChallenges, type RegistryToken } from './registry-auth.ts'
import { fromFetchFailure, fromRegistryResponse, refusedSvid } from './registry-errors.ts'

export type RegistryTransportOptions = {
  readonly fetch: typeof globalThis.fetch
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1); for jitter. */
  readonly random: () => number
  /** `host[:port]` spoken to without TLS besides loopback. */
  readonly plainHttpRegistries: readonly string[]
  /** Longest wait for the head of an answer, and between two pieces of a body, ms. */
  readonly idleTimeoutMs: number
  /** Tries of one request when the registry is busy or failing. */
  readonly maxAttempts: number
  /** A `Retry-After` beyond this ends the attempt at once, ms. */
  readonly maxRetryAfterMs: number
}

export type RegistryRequest = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  /** Path below the registry, or an absolute URL that the registry gave. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Called with how much of the body has gone out; from 0 again when it is sent again. */
  readonly onSent?: ((bytes: number) => void) | undefined
  /** Statuses that are answers; every other one is an error. */
  readonly expect: readonly number[]
  /** What is asked for, for errors: `ghcr.io/o/x:1`. */
  readonly what: string
  readonly signal: AbortSignal
}

/** One registry as seen by one set of credentials and one scope. */
export interface RegistrySession {
  readonly host: string
  /** Retries, redirects and token exchange included. @throws ERR_OCI_…, or the signal's reason */
  request(request: RegistryRequest): Promise<Response>
  /** Body in pieces; ends with ERR_OCI_UNREACHABLE when it breaks or stalls. */
  body(response: Response, options: { what: string; signal: AbortSignal }): AsyncGenerator<Uint8Array, void>
  /** Waits before try number `attempt` (from 1). */
  pause(attempt: number, signal: AbortSignal): Promise<void>
}

const maxRedirects = 5
const retryable = new Set([408, 429, 500, 502, 503, 504])

export function createRegistryTransport(options: RegistryTransportOptions) {
  const { fetch, clock, log, random, plainHttpRegistries, idleTimeoutMs, maxAttempts, maxRetryAfterMs } = options
  const tokens = new Map<string, RegistryToken>()

  const watched = new WeakSet<AbortSignal>()

  /** Until it is revoked: then nothing of it is left here. */
  function keep(key: string, token: RegistryToken): void {
    const { revoked } = token
    if (revoked?.aborted) return
    tokens.set(key, token)
    if (revoked === undefined || watched.has(revoked)) return
    watched.add(revoked)
    const evict = (): void => {
      for (const [known, { revoked: of }] of tokens) if (of === revoked) tokens.delete(known)
      log.info({ event: 'oci.token.evicted' }, 'the SVID is gone, and so are the registry tokens it was traded for')
    }
    revoked.addEventListener('abort', evict, { once: true })
  }

  const isPlain = (host: string) => isLoopbackHost(host) || plainHttpRegistries.includes(host)

  const pause = (attempt: number, signal: AbortSignal) =>
    clock.sleep(Math.min(250 * 2 ** (attempt - 1), 8_000) * (0.5 + random() / 2), { signal })

  /** One exchange on the wire. Its time limit covers each piece of what is sent, and the head of the answer. */
  async function exchange(
    url: URL,
    { body, headers, ...init }: Exchange,
    { what, signal, onSent }: Pick<RegistryRequest, 'what' | 'signal' | 'onSent'>,
  ): Promise<Response> {
    signal.throwIfAborted()
    const stalled = new AbortController()
    const timer = setTimeout(() => stalled.abort(), idleTimeoutMs)
    const sent = (bytes: number): void => {
      timer.refresh()
      onSent?.(bytes)
    }
    try {
      return await fetch(url, {
        ...init,
        ...bodyOf(body, headers, sent),
        redirect: 'manual',
        signal: AbortSignal.any([signal, stalled.signal]),
      })
    } catch (error) {
      signal.throwIfAborted()
      const cause = stalled.signal.aborted ? new Error(`no answer within ${idleTimeoutMs} ms`) : error
      throw fromFetchFailure(cause, what)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Follows redirects; whatever leaves the registry's origin goes without its Authorization header. */
  async function follow(url: URL, request: RegistryRequest, authorization: string | undefined): Promise<Response> {
    let current = url
    for (let hop = 0; ; hop++) {
      const headers: Record<string, string> = {
        'accept-encoding': 'identity',
        'user-agent': 'herald',
        ...request.headers,
      }
      if (authorization !== undefined && current.origin === url.origin) headers.authorization = authorization
      const body = request.body as Uint8Array<ArrayBuffer> | undefined
      const response = await exchange(current, { method: request.method, headers, body }, request)
      const location = response.headers.get('location')
      const redirected = [301, 302, 303, 307, 308].includes(response.status) && location !== null
      if (!redirected || (request.method !== 'GET' && request.method !== 'HEAD')) return response
      await response.body?.cancel().catch(() => {})
      current = checkRedirect(URL.parse(location, current), current, request.what)
      if (hop === maxRedirects) throw refusedRedirect(request.what, `more than ${maxRedirects} redirects`)
    }
  }

  function checkRedirect(target: URL | null, from: URL, what: string): URL {
    if (target === null || target.username !== '' || target.password !== '')
      throw refusedRedirect(what, 'an address that is none')
    if (target.protocol !== 'https:' && !(target.protocol === 'http:' && isPlain(target.host))) {
      throw refusedRedirect(what, `${target.protocol}//${target.host}`)
    }
    if (isLocalAddress(target.host) && !isLoopbackHost(from.host))
      throw refusedRedirect(what, `the local address ${target.host}`)
    return target
  }

  function session(host: string, scope: string, credentials: OciCredentials | undefined): RegistrySession {
    const origin = `${isPlain(host) ? 'http' : 'https'}://${host === 'docker.io' ? 'registry-1.docker.io' : host}`
    const tokenKey = `${origin} ${scope} ${credentialKey(credentials)}`

    async function attempt(request: RegistryRequest): Promise<Response> {
      const url = new URL(request.target, origin)
      // An upload's address may be on another host: it gets no credentials, and its challenges are not answered.
      const ours = url.origin === origin
      if (!ours) checkRedirect(url, new URL(origin), request.what)
      const known = tokens.get(tokenKey)
      const fresh = known !== undefined && known.expiresAtMs > clock.nowMs() ? known : undefined
      const response = await follow(url, request, ours ? fresh?.authorization : undefined)
      if (response.status !== 401 || !ours) return response
      const challenges = parseChallenges(response.headers.get('www-authenticate') ?? '')
      const challenge =
        challenges.find(({ scheme }) => scheme === 'bearer') ??
        (credentials?.kind === 'basic' ? challenges.find(({ scheme }) => scheme === 'basic') : undefined)
      if (challenge === undefined) return response
      await response.body?.cancel().catch(() => {})
      const answered = {
        challenge,
        scope,
        credentials,
        what: request.what,
        registryOrigin: origin,
        nowMs: clock.nowMs(),
        signal: request.signal,
      }
      const token = await answerChallenge(answered, async (realm, init) => {
        const answer = await exchange(realm, init, { what: request.what, signal: request.signal })
        if (credentials?.kind === 'svid' && [400, 401, 403].includes(answer.status))
          throw await refusedSvid(answer, { what: request.what, tokenService: realm.host })
        if (answer.status !== 200) throw new RefusedAnswer(answer)
        return answer
      })
      if (tokens.size >= 1_000) tokens.clear()
      keep(tokenKey, token)
      const second = await follow(url, request, token.authorization)
      if (second.status === 401) tokens.delete(tokenKey)
      return second
    }

    return {
      host,
      pause,
      async request(request) {
        for (let tries = 1; ; tries++) {
          let failure: HeraldError
          let waitMs: number | undefined
          try {
            const response = await attempt(request).catch((error: unknown) => {
              if (error instanceof RefusedAnswer) return error.response
              throw error
            })
            if (request.expect.includes(response.status)) return response
            waitMs = retryAfterMs(response.headers.get('retry-after'), clock.nowMs())
            failure = await fromRegistryResponse(response, request)
            if (!retryable.has(response.status) || (waitMs ?? 0) > maxRetryAfterMs) throw failure
          } catch (error) {
            request.signal.throwIfAborted()
            if (!(error instanceof HeraldError) || error.code !== 'ERR_OCI_UNREACHABLE') throw error
            failure = error
          }
          if (tries >= maxAttempts) throw failure
          log.debug(
            { event: 'oci.retry', registry: host, attempt: tries, waitMs, code: failure.code },
            'asking the registry again',
          )
          if (waitMs === undefined) await pause(tries, request.signal)
          else await clock.sleep(waitMs * (1 + random() / 10), { signal: request.signal })
        }
      },
      async *body(response, { what, signal }) {
        if (response.body === null) return
        const reader = response.body.getReader()
        let stalled = false
        let timer: NodeJS.Timeout | undefined
        const stop = () => void reader.cancel().catch(() => {})
        signal.addEventListener('abort', stop, { once: true })
        try {
          for (;;) {
            timer = setTimeout(() => {
              stalled = true
              stop()
            }, idleTimeoutMs)
            const { done, value } = await reader.read().catch((error: unknown) => {
              signal.throwIfAborted()
              throw fromFetchFailure(error, what)
            })
            clearTimeout(timer)
            signal.throwIfAborted()
            if (stalled) throw fromFetchFailure(new Error(`nothing came for ${idleTimeoutMs} ms`), what)
            if (done) return
            yield value
          }
        } finally {
          clearTimeout(timer)
          signal.removeEventListener('abort', stop)
          stop()
        }
      },
    }
  }

  return { session }
}

type Exchange = Omit<RequestInit, 'body' | 'headers'> & {
  readonly headers?: RequestInit['headers']
  readonly body?: RequestInit['body'] | undefined
}

const sentAtOnceBytes = 64 * 1024

/** Large bodies go out in pieces, so that it is known how far they are; their length is said, since not every registry takes chunked ones. */
function bodyOf(body: Exchange['body'], headers: Exchange['headers'], onSent: (bytes: number) => void): RequestInit {
  const rest = headers === undefined ? {} : { headers }
  if (!(body instanceof Uint8Array) || body.length <= sentAtOnceBytes) return { ...rest, ...(body && { body }) }
  let at = 0
  const pieces = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        // What was asked for before has gone out.
        onSent(at)
        if (at >= body.length) return controller.close()
        const piece = body.subarray(at, at + sentAtOnceBytes)
        at += piece.length
        controller.enqueue(piece)
      },
    },
    { highWaterMark: 0 },
  )
  const lengthened = new Headers(headers)
  lengthened.set('content-length', String(body.length))
  const init: RequestInit & { duplex: 'half' } = { headers: lengthened, body: pieces, duplex: 'half' }
  return init
}

/** A token service's refusal, on its way to the place where every refusal is translated. */
class RefusedAnswer extends Error {
  readonly response: Response
  constructor(response: Response) {
    super('refused')
    this.response = response
  }
}

/** Tells sets of credentials apart without holding them. */
export function credentialKey(credentials: OciCredentials | undefined): string {
  if (credentials === undefined) return 'anonymous'
  return createHash('sha256')
    .update(JSON.stringify([credentials.kind, ...distinguishing(credentials)]))
    .digest('hex')
}

function distinguishing(credentials: OciCredentials): readonly string[] {
  switch (credentials.kind) {
    case 'basic':
      return [credentials.username, credentials.password]
    case 'identity-token':
      return [credentials.token]
    case 'svid':
      // Whoever has this SPIFFE ID, by whatever SVID of it.
      return [credentials.spiffeId, credentials.identity.audience, credentials.identity.tokenService?.href ?? '']
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

function refusedRedirect(what: string, where: string): HeraldError {
  return new HeraldError('ERR_OCI_REDIRECT_REFUSED', `${what}: the registry redirects to ${where}`, {
    hint: 'a registry may redirect to https addresses only, and not to this machine',
  })
}
