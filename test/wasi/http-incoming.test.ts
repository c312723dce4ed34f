import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Guest } from './guest.ts'
import { exchangeOf, LoopbackServer } from './node-exchange.ts'

/** Shorthands for the guest's handlers. */
const prelude = `
  const { Fields, OutgoingResponse, OutgoingBody, IncomingBody, ResponseOutparam } = wasi['wasi:http/types']
  const respond = (status, headers, write, trailers) => {
    const response = new OutgoingResponse(Fields.fromList(headers))
    response.setStatusCode(status)
    const body = response.body()
    ResponseOutparam.set(out, { tag: 'ok', val: response })
    const stream = body.write()
    write(stream)
    stream[Symbol.dispose]()
    OutgoingBody.finish(body, trailers)
  }
  const readAll = (stream) => {
    const chunks = []
    for (;;) {
      const { value, error } = caught(() => stream.blockingRead(65536n))
      if (error) return { chunks, error }
      chunks.push(value)
    }
  }
`

/** A guest that answers the requests of a real server; `outcome` is how the last exchange ended. */
async function serve(
  body: string,
  use: (site: { origin: string; port: number; guest: Guest; outcome: () => Promise<unknown> }) => Promise<void>,
  options: Parameters<typeof Guest.open>[0] = {},
): Promise<void> {
  using guest = await Guest.open(options)
  await guest.onRequest(prelude + body)
  let last: Promise<unknown> = Promise.resolve('none')
  await using server = await LoopbackServer.open((request, response) => {
    last = guest.handle(exchangeOf(request, response)).then(
      () => 'sent',
      (error: unknown) => {
        if (!response.headersSent) response.writeHead(502).end()
        return error
      },
    )
  })
  await use({ origin: server.origin, port: server.port, guest, outcome: () => last })
}

test('a guest sees the request as it was sent and answers it', async () => {
  await serve(
    `const headers = request.headers()
     const seen = { method: request.method(), path: request.pathWithQuery(), scheme: request.scheme(), authority: request.authority(),
       custom: headers.get('X-Custom').map(text), host: headers.has('host'), immutable: caught(() => headers.append('a', bytes('b'))) }
     const input = request.consume().stream()
     const { chunks, error } = readAll(input)
     seen.body = chunks.map(text).join(''); seen.end = error
     respond(201, [['Content-Type', bytes('application/json')], ['x-two', bytes('1')], ['X-Two', bytes('2')]], (stream) => stream.blockingWriteAndFlush(bytes(JSON.stringify(seen))))`,
    async ({ origin, port, outcome }) => {
      const response = await fetch(`${origin}/a/b?c=%20d`, {
        method: 'PUT',
        headers: { 'x-custom': 'yes' },
        body: 'hello '.repeat(1000),
      })
      strictEqual(response.status, 201)
      strictEqual(response.headers.get('x-two'), '1, 2')
      deepStrictEqual(await response.json(), {
        method: { tag: 'put' },
        path: '/a/b?c=%20d',
        scheme: { tag: 'HTTP' },
        authority: `127.0.0.1:${port}`,
        custom: ['yes'],
        host: false,
        immutable: { error: { tag: 'immutable' } },
        body: 'hello '.repeat(1000),
        end: { tag: 'closed' },
      })
      strictEqual(await outcome(), 'sent')
    },
  )
})

test('a body larger than the buffers goes through whole, with back-pressure', async () => {
  await serve(
    `const input = request.consume().stream()
     respond(200, [], (stream) => {
       for (;;) { const { error } = caught(() => stream.blockingSplice(input, 100_000n)); if (error) break }
       stream.blockingFlush()
     })`,
    async ({ origin, outcome }) => {
      const sent = Buffer.alloc(900_000, 'abcdefghijk')
      const response = await fetch(origin, { method: 'POST', body: sent })
      ok(sent.equals(Buffer.from(await response.arrayBuffer())))
      strictEqual(await outcome(), 'sent')
    },
  )
})

test('zeroes are written in any number', async () => {
  await serve(`respond(200, [], (stream) => stream.blockingWriteZeroesAndFlush(300_000n))`, async ({ origin }) => {
    const body = Buffer.from(await (await fetch(origin)).arrayBuffer())
    ok(body.equals(Buffer.alloc(300_000)))
  })
})

test('a request body beyond the largest size fails with its error code, a response body breaks off', async () => {
  await serve(
    `const { http } = { http: wasi['wasi:http/types'] }
     const { error } = readAll(request.consume().stream())
     respond(200, [], (stream) => stream.blockingWriteAndFlush(bytes(JSON.stringify([error.tag, http.httpErrorCode(error.val).tag]))))`,
    async ({ origin }) => {
      const response = await fetch(origin, { method: 'POST', body: 'x'.repeat(200_000) })
      deepStrictEqual(await response.json(), ['last-operation-failed', 'HTTP-request-body-size'])
    },
    { maxBodyBytes: 100_000 },
  )
  await serve(
    `respond(200, [], (stream) => { for (let i = 0; i < 20; i++) if (caught(() => stream.blockingWriteAndFlush(bytes('x'.repeat(10_000)))).error) break })`,
    async ({ origin, outcome }) => {
      await rejects(fetch(origin).then((response) => response.arrayBuffer()))
      match(String(await outcome()), /HTTP-response-body-size|Error/)
    },
    { maxBodyBytes: 100_000 },
  )
})

for (const [what, length, body] of [
  ['fewer', 10, 'short'],
  ['more', 3, 'too long'],
] as const) {
  test(`${what} bytes than content-length announced: the guest is told, and the client never sees a complete response`, async () => {
    await serve(
      `const result = caught(() => respond(200, [['content-length', bytes('${length}')]], (stream) => {
         const { error } = caught(() => stream.blockingWriteAndFlush(bytes('${body}')))
         if (error) globalThis.seen = { tag: wasi['wasi:http/types'].httpErrorCode(error.val).tag }
       }))
       globalThis.seen ??= { tag: result.error?.tag }`,
      async ({ origin, guest, outcome }) => {
        await rejects(fetch(origin).then((response) => response.text()))
        ok((await outcome()) instanceof Error)
        deepStrictEqual(await guest.call('return globalThis.seen'), { tag: 'HTTP-response-body-size' })
      },
    )
  })
}

for (const [code, status] of [
  [`{ tag: 'internal-error', val: 'secret detail' }`, 500],
  [`{ tag: 'connection-refused' }`, 502],
  [`{ tag: 'connection-timeout' }`, 504],
  [`{ tag: 'HTTP-request-body-size', val: 5n }`, 413],
] as const) {
  test(`a guest that answers ${code} makes a ${status} without details`, async () => {
    await serve(`ResponseOutparam.set(out, { tag: 'err', val: ${code} })`, async ({ origin, outcome }) => {
      const response = await fetch(origin)
      strictEqual(response.status, status)
      ok(!(await response.text()).includes('secret'))
      strictEqual(await outcome(), 'sent')
    })
  })
}

for (const [what, body, message] of [
  ['does not answer', '', /ended without answering/],
  ['drops the outparam', 'out[Symbol.dispose]()', /without answering/],
  [
    'starts a body and leaves it open',
    `const response = new OutgoingResponse(new Fields()); globalThis.kept = response.body()
     ResponseOutparam.set(out, { tag: 'ok', val: response }); globalThis.kept.write().blockingWriteAndFlush(bytes('part'))`,
    /without finishing/,
  ],
  [
    'drops the body',
    `const response = new OutgoingResponse(new Fields()); const body = response.body()
     ResponseOutparam.set(out, { tag: 'ok', val: response }); body[Symbol.dispose]()`,
    /without finishing it/,
  ],
  [
    'announces bytes and takes no body',
    `ResponseOutparam.set(out, { tag: 'ok', val: new OutgoingResponse(Fields.fromList([['content-length', bytes('5')]])) })`,
    /announced 5 bytes/,
  ],
] as const) {
  test(`a guest that ${what} is reported, and its client sees no complete response`, async () => {
    await serve(body, async ({ origin, outcome }) => {
      const text = await fetch(origin)
        .then(
          async (response) => (response.status === 502 ? '502' : response.text()),
          () => 'broken off',
        )
        .catch(() => 'broken off')
      ok(text === '502' || text === 'broken off', text)
      match(String(await outcome()), message)
    })
  })
}

test('a content-length that is no number, or doubled, never reaches the wire', async () => {
  for (const headers of [
    `[['content-length', bytes('5, 5')]]`,
    `[['content-length', bytes('1')], ['Content-Length', bytes('1')]]`,
    `[['content-length', bytes('0x5')]]`,
  ]) {
    await serve(
      `ResponseOutparam.set(out, { tag: 'ok', val: new OutgoingResponse(Fields.fromList(${headers})) })`,
      async ({ origin }) => strictEqual((await fetch(origin)).status, 500),
    )
  }
})

for (const [what, body] of [
  ['finishes its answer', 'OutgoingBody.finish(body, undefined)'],
  ['drops the body of its answer', 'body[Symbol.dispose]()'],
  ['finishes what it received', 'IncomingBody.finish(incoming)'],
  ['drops what it received', 'incoming[Symbol.dispose]()'],
] as const) {
  test(`a guest that ${what} while it holds the stream of it is trapped`, async () => {
    await serve(
      `const response = new OutgoingResponse(new Fields()), body = response.body(), incoming = request.consume()
       ResponseOutparam.set(out, { tag: 'ok', val: response })
       globalThis.held = [incoming.stream(), body.write()]
       ${body}`,
      async ({ origin, outcome }) => {
        const complete = await fetch(origin, { method: 'POST', body: 'x' }).then(
          (answer) => answer.ok,
          () => false,
        )
        strictEqual(complete, false)
        match(String(await outcome()), /finished or dropped while its stream is held/)
      },
    )
  })
}

test('an answer without a body, one finished before it is set, and one to HEAD are complete', async () => {
  await serve(
    `const response = new OutgoingResponse(Fields.fromList([['content-length', bytes('4')]]))
     const path = request.pathWithQuery()
     if (path === '/empty') { ResponseOutparam.set(out, { tag: 'ok', val: new OutgoingResponse(new Fields()) }); return }
     const body = response.body(); const stream = body.write()
     if (path !== '/head') stream.blockingWriteAndFlush(bytes('four'))
     stream[Symbol.dispose](); OutgoingBody.finish(body, undefined)
     ResponseOutparam.set(out, { tag: 'ok', val: response })`,
    async ({ origin, outcome }) => {
      strictEqual(await (await fetch(`${origin}/empty`)).text(), '')
      strictEqual(await outcome(), 'sent')
      strictEqual(await (await fetch(`${origin}/early`)).text(), 'four')
      strictEqual(await outcome(), 'sent')
      for (const path of ['/head', '/head-with-body']) {
        const head = await fetch(origin + path, { method: 'HEAD' })
        deepStrictEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '4', ''])
        strictEqual(await outcome(), 'sent')
      }
    },
  )
})

test('statuses that are no final response are refused', async () => {
  using guest = await Guest.open()
  const answer = await guest.call(`const { OutgoingResponse, Fields } = wasi['wasi:http/types']
    return [100, 101, 199, 200, 599].map((status) => { try { new OutgoingResponse(new Fields()).setStatusCode(status); return true } catch { return false } })`)
  deepStrictEqual(answer, [false, false, false, true, true])
})

test('trailers pass in both directions', async () => {
  await serve(
    `const incoming = request.consume(); const input = incoming.stream(); readAll(input); input[Symbol.dispose]()
     const future = IncomingBody.finish(incoming); future.subscribe().block()
     const trailers = future.get().val.val
     respond(200, [['trailer', bytes('x-sum')]], (stream) => stream.blockingWriteAndFlush(bytes('body')), Fields.fromList([['x-sum', trailers.get('x-check')[0]]]))`,
    async ({ port }) => {
      const socket = connect(port, '127.0.0.1')
      socket.write(
        'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-check: 42\r\n\r\n',
      )
      let received = ''
      socket.on('data', (chunk) => {
        received += chunk
      })
      await once(socket, 'close')
      match(received, /\r\n0\r\nx-sum: 42\r\n\r\n$/)
    },
  )
})

test('a client that goes away ends the waits of its guest', async () => {
  await serve(
    `globalThis.ended = undefined
     const response = new OutgoingResponse(new Fields()); const body = response.body()
     ResponseOutparam.set(out, { tag: 'ok', val: response }); const stream = body.write()
     for (;;) { const { error } = caught(() => stream.blockingWriteAndFlush(bytes('x'.repeat(4096)))); if (error) { globalThis.ended = error.tag; break } }`,
    async ({ port, guest, outcome }) => {
      const socket = connect(port, '127.0.0.1')
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      await once(socket, 'data')
      socket.destroy()
      await new Promise((resolve) => setTimeout(resolve, 50))
      ok((await outcome()) instanceof Error)
      strictEqual(await guest.call('return globalThis.ended'), 'last-operation-failed')
    },
    { maxBodyBytes: 1e9 },
  )
})

test('a body can be taken once, a stream of it once, and what is left unread does not hurt the next request', async () => {
  await serve(
    `const first = request.consume(); const second = caught2(() => request.consume()); first.stream(); const third = caught2(() => first.stream())
     function caught2(run) { try { run(); return 'again' } catch { return 'once' } }
     respond(200, [], (stream) => stream.blockingWriteAndFlush(bytes(second + third)))`,
    async ({ origin }) => {
      for (let index = 0; index < 3; index++) {
        strictEqual(await (await fetch(origin, { method: 'POST', body: 'x'.repeat(50_000) })).text(), 'onceonce')
      }
    },
  )
})
