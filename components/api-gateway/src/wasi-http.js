import { Fields, IncomingBody, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.12'
import { Refusal } from './refusal.js'

const maxBodyBytes = 64 * 1024

/** @returns {import('./gateway.js').GatewayRequest} */
export function readRequest(incoming) {
  const method = incoming.method()
  const [path, query] = splitTarget(incoming.pathWithQuery() ?? '/')
  const fields = incoming.headers()
  const headers = Object.fromEntries(fields.entries().map(([name, value]) => [name.toLowerCase(), decode(value)]))
  dispose(fields)
  return {
    method: (method.tag === 'other' ? method.val : method.tag).toUpperCase(),
    path,
    query,
    headers,
    readBody: () => readBody(incoming),
  }
}

/** @param {import('./gateway.js').GatewayResponse} answer */
export async function sendResponse(responseOut, { status, headers, body }) {
  const fields = Fields.fromList(
    Object.entries(headers).map(([name, value]) => [name, new TextEncoder().encode(value)]),
  )
  const response = new OutgoingResponse(fields)
  response.setStatusCode(status)
  const outgoing = response.body()
  ResponseOutparam.set(responseOut, { tag: 'ok', val: response })
  const stream = outgoing.write()
  if (typeof body === 'string') writeAll(stream, new TextEncoder().encode(body))
  else for await (const chunk of body) writeAll(stream, chunk)
  dispose(stream)
  OutgoingBody.finish(outgoing, undefined)
}

function readBody(incoming) {
  const body = incoming.consume()
  const stream = body.stream()
  const chunks = []
  let length = 0
  try {
    for (;;) {
      const chunk = stream.blockingRead(BigInt(maxBodyBytes))
      length += chunk.length
      if (length > maxBodyBytes) throw new Refusal(413, 'body-too-large', `at most ${maxBodyBytes} bytes`, 'request')
      chunks.push(chunk)
    }
  } catch (error) {
    if ((error?.payload ?? error)?.tag !== 'closed') throw error
  } finally {
    dispose(stream)
  }
  dispose(IncomingBody.finish(body))
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return decode(bytes)
}

/** Writes as much at a time as the stream permits, and waits in between. */
function writeAll(stream, bytes) {
  for (let at = 0; at < bytes.length; ) {
    const permitted = Number(stream.checkWrite())
    if (permitted === 0) {
      const pollable = stream.subscribe()
      pollable.block()
      dispose(pollable)
      continue
    }
    const chunk = bytes.subarray(at, at + permitted)
    stream.write(chunk)
    at += chunk.length
  }
}

function splitTarget(target) {
  const mark = target.indexOf('?')
  return mark === -1 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
}

function decode(bytes) {
  return new TextDecoder().decode(bytes)
}

function dispose(resource) {
  resource[Symbol.dispose || Symbol.for('dispose')]()
}
