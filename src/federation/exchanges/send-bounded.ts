import type { ExchangeContext } from '../exchange.ts'
import { unavailable, unusable } from './federation-errors.ts'

export type BoundedRequest = {
  readonly party: string
  readonly url: string
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export type BoundedAnswer = {
  readonly status: number
  readonly retryAfterMs: number | undefined
  readonly text: string
}

/** Far above any real answer of a token endpoint. */
const maxAnswerBytes = 256 * 1024
const timeoutMs = 15_000

/**
 * One request; the answer is read up to 256 KiB within 15 s. A redirect is not followed: it would carry the token elsewhere.
 * @throws ERR_FEDERATION_UNAVAILABLE · ERR_FEDERATION_ANSWER_INVALID · the context signal's reason
 */
export async function sendBounded(request: BoundedRequest, { fetch, signal }: ExchangeContext): Promise<BoundedAnswer> {
  const { party, url, method, headers, body } = request
  const host = new URL(url).host
  const timeout = AbortSignal.timeout(timeoutMs)
  let response: Response
  let text: string | undefined
  try {
    response = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
      ...(body !== undefined && { body }),
    })
    text = await readBounded(response)
  } catch (cause) {
    signal.throwIfAborted()
    const why = timeout.aborted ? `did not answer within ${timeoutMs / 1000} s` : 'cannot be reached'
    throw unavailable(party, `${host} ${why}`, { cause, hint: `See that this machine reaches ${host}.` })
  }
  if (text === undefined) throw unusable(party, `${host} answered with more than ${maxAnswerBytes} bytes`)
  if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
    throw unusable(party, `${host} answered with a redirect, which is not followed`)
  }
  return { status: response.status, retryAfterMs: retryAfterMs(response), text }
}

/** undefined when it is too long. */
async function readBounded(response: Response): Promise<string | undefined> {
  if (response.body === null) return ''
  const reader = response.body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  while (true) {
    const { done, value } = await reader.read()
    if (done) return new TextDecoder('utf-8').decode(Buffer.concat(chunks))
    length += value.byteLength
    if (length > maxAnswerBytes) {
      await reader.cancel()
      return undefined
    }
    chunks.push(value)
  }
}

/** Only the number of seconds (RFC 9110 §10.2.3); at most 30 s. */
function retryAfterMs(response: Response): number | undefined {
  const value = response.headers.get('retry-after')
  return value !== null && /^\d{1,6}$/.test(value) ? Math.min(Number(value), 30) * 1000 : undefined
}
