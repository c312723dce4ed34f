import { createHash } from 'node:crypto'
import type { ClientRequest, IncomingMessage } from 'node:http'
import {
  type HeaderPairs,
  type RequestSignature,
  type RequestSigning,
  RequestSigningError,
} from '../../capabilities/capability.ts'
import { RequestBodySink } from './client-bodies.ts'
import type { ClientCall, HttpClient } from './http-client.ts'
import { HttpFailure } from './http-failure.ts'
import { KeptBody } from './kept-body.ts'
import type { OutgoingBodySink } from './outgoing-body.ts'

export type SignedRequest = {
  readonly client: HttpClient
  readonly call: ClientCall
  readonly signing: RequestSigning
  readonly sink: OutgoingBodySink | undefined
  /** The guest announced the length of the body. */
  readonly hasLength: boolean
  readonly future: {
    prepareWith(preparation: AbortController): void
    start(request: ClientRequest): void
    settle(result: IncomingMessage | Error): void
  }
}

/**
 * Sends a request once it is signed. A body that must be hashed is kept until it is known whole; any other is streamed behind the signed
 * head. After a 401 it is sent once more, with other credentials, if its body is still at hand whole and there are others.
 */
export function sendSigned({ client, call: unsigned, signing, sink, hasLength, future }: SignedRequest): void {
  const call: ClientCall = signing.connect === undefined ? unsigned : { ...unsigned, connect: signing.connect }
  const preparation = new AbortController()
  const { signal } = preparation
  future.prepareWith(preparation)
  const giveBack = client.reserve()
  const kept = signing.body === 'hashed' && sink !== undefined ? new KeptBody(client) : undefined
  signal.addEventListener('abort', () => {
    giveBack()
    kept?.release()
  })

  async function run(): Promise<void> {
    const toHash = signing.body === 'hashed' ? await wholeBody() : undefined
    const head = {
      method: call.method,
      path: call.path,
      headers: call.headers,
      bodySha256: toHash === undefined ? undefined : sha256(toHash),
    }
    const sign = async (): Promise<RequestSignature> => {
      const signature = await signing.sign(head, { signal, trace: call.trace })
      signal.throwIfAborted()
      return signature
    }
    const signature = await sign()
    // By now a short body has often been written whole: then the request can be repeated.
    const whole = toHash ?? (sink === undefined ? [] : sink.takeWhole())
    giveBack()
    if (whole === undefined) {
      const sent = client.start({ ...call, headers: [...call.headers, ...signature.fields] }, (result) => {
        if (isUnauthorized(result)) {
          signing.rejected(signature.credentialId, { signal: new AbortController().signal }).catch(() => {})
        }
        future.settle(result)
      })
      future.start(sent)
      sink?.attach(new RequestBodySink(sent, hasLength), false, () => {})
      return
    }
    send(whole, signature, (result) => {
      if (!isUnauthorized(result)) return future.settle(result)
      signing
        .rejected(signature.credentialId, { signal })
        .then(sign)
        .then((next) => {
          if (next.credentialId === signature.credentialId) return future.settle(result)
          result.resume()
          send(whole, next, (second) => future.settle(second))
        })
        // Whatever kept it from being repeated: the answer there is stands.
        .catch(() => future.settle(result))
    })
  }

  function send(
    whole: readonly Uint8Array[],
    { fields }: RequestSignature,
    settled: (result: IncomingMessage | Error) => void,
  ): void {
    const bytes = whole.reduce((sum, chunk) => sum + chunk.length, 0)
    const length: HeaderPairs = bytes > 0 && !hasLength ? [['content-length', String(bytes)]] : []
    const sent = client.start({ ...call, headers: [...call.headers, ...fields, ...length] }, settled)
    future.start(sent)
    for (const chunk of whole) sent.write(chunk)
    sent.end()
  }

  async function wholeBody(): Promise<readonly Uint8Array[]> {
    if (sink === undefined || kept === undefined) return []
    sink.attach(kept, false, () => {})
    return kept.whole
  }

  run().catch((error: unknown) => {
    sink?.abandon('the request was not sent')
    future.settle(toFailure(error))
  })
}

function isUnauthorized(result: IncomingMessage | Error): result is IncomingMessage {
  return !(result instanceof Error) && result.statusCode === 401
}

function sha256(chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

function toFailure(error: unknown): Error {
  if (error instanceof RequestSigningError) {
    return new HttpFailure(
      error.denied ? { tag: 'HTTP-request-denied' } : { tag: 'internal-error', val: error.message },
    )
  }
  return error instanceof Error ? error : new Error(String(error))
}
