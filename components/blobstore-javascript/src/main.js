// A store of files over HTTP: PUT, GET, DELETE and HEAD /container/object, GET /container lists, PUT and DELETE /container make and
// remove one. `?to=container/object` on a POST copies, with `&move` it moves.
import {
  containerExists,
  copyObject,
  createContainer,
  deleteContainer,
  getContainer,
  moveObject,
} from 'wasi:blobstore/blobstore@0.2.0-draft'
import { IncomingValue, OutgoingValue } from 'wasi:blobstore/types@0.2.0-draft'

const most = 0xffffffffffffffffn

addEventListener('fetch', (event) => event.respondWith(answer(event.request)))

async function answer(request) {
  const url = new URL(request.url)
  const [container, ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent)
  const name = rest.join('/')
  try {
    return name === '' ? ofContainer(request, container) : await ofObject(request, url, container, name)
  } catch (error) {
    // What an interface gives as `err` is thrown with it as the payload.
    if (typeof error.payload === 'string') return text(409, error.payload)
    return text(500, String(error))
  }
}

function ofContainer({ method }, container) {
  switch (method) {
    case 'PUT':
      createContainer(container)
      return text(201, 'made')
    case 'DELETE':
      deleteContainer(container)
      return text(200, 'removed')
    case 'HEAD':
      return new Response(null, { status: containerExists(container) ? 200 : 404 })
    default: {
      const listing = getContainer(container).listObjects()
      const names = []
      for (let end = false; !end; ) {
        const [page, isEnd] = listing.readStreamObjectNames(100n)
        names.push(...page)
        end = isEnd
      }
      return Response.json(names)
    }
  }
}

async function ofObject(request, url, container, name) {
  switch (request.method) {
    case 'PUT': {
      const body = new Uint8Array(await request.arrayBuffer())
      const value = OutgoingValue.newOutgoingValue()
      const stream = value.outgoingValueWriteBody()
      getContainer(container).writeData(name, value)
      for (let at = 0; at < body.length; at += 4096) stream.blockingWriteAndFlush(body.subarray(at, at + 4096))
      stream[Symbol.dispose]()
      OutgoingValue.finish(value)
      return text(201, 'stored')
    }
    case 'DELETE':
      getContainer(container).deleteObject(name)
      return text(200, 'deleted')
    case 'POST': {
      const [toContainer, ...to] = url.searchParams.get('to').split('/')
      const transfer = url.searchParams.has('move') ? moveObject : copyObject
      transfer({ container, object: name }, { container: toContainer, object: to.join('/') })
      return text(200, 'done')
    }
    case 'HEAD': {
      const info = getContainer(container).objectInfo(name)
      return new Response(null, { headers: { 'x-size': String(info.size), 'x-created-at': String(info.createdAt) } })
    }
    default:
      return read(url, container, name)
  }
}

function read(url, container, name) {
  const start = BigInt(url.searchParams.get('start') ?? 0)
  const end = BigInt(url.searchParams.get('end') ?? most)
  const value = getContainer(container).getData(name, start, end)
  const length = Number(value.size())
  if (!url.searchParams.has('stream')) return new Response(IncomingValue.incomingValueConsumeSync(value))
  const stream = IncomingValue.incomingValueConsumeAsync(value)
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; ) {
    const piece = stream.blockingRead(1000n)
    bytes.set(piece, at)
    at += piece.length
  }
  return new Response(bytes)
}

function text(status, line) {
  return new Response(`${line}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } })
}
