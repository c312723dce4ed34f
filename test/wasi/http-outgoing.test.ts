import { deepStrictEqual, match, ok, strictEqual } from 'node:assert'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { test } from 'node:test'
import type { WasiDependencies } from '../../src/wasi/create-wasi.ts'
import type { WasiOptions } from '../../src/wasi/wasi.ts'
import { Guest } from './guest.ts'
import { LoopbackServer } from './node-exchange.ts'

/** `send(…)` gives `{ status, headers, body }` or `{ error }`. */
const prelude = `
  const { Fields, OutgoingRequest, OutgoingBody, IncomingBody, RequestOptions } = wasi['wasi:http/types']
  const { handle } = wasi['wasi:http/outgoing-handler']
  const send = ({ method = { tag: 'get' }, scheme = { tag: 'HTTP' }, authority, path = '/', headers = [], body, trailers, options, late = false }) => {
    const request = new OutgoingRequest(Fields.fromList(headers))
    request.setMethod(method); request.setScheme(scheme); request.setAuthority(authority); request.setPathWithQuery(path)
    const outgoing = body === undefined ? undefined : request.body()
    const write = () => {
      if (outgoing === undefined) return
      const stream = outgoing.write()
      for (const part of [body].flat()) stream.blockingWriteAndFlush(bytes(part))
      stream[Symbol.dispose](); OutgoingBody.finish(outgoing, trailers)
    }
    if (!late) write()
    const started = caught(() => handle(request, options))
    if (started.error) return { error: started.error }
    if (late) write()
    const future = started.value
    future.subscribe().block()
    const result = future.get().val
    if (result.tag === 'err') return { error: result.val }
    const response = result.val
    const status = response.status(), received = Object.fromEntries(response.headers().entries().map(([name, value]) => [name.toLowerCase(), text(value)]))
    const incoming = response.consume(), stream = incoming.stream(), chunks = []
    let failure
    for (;;) {
      const { value, error } = caught(() => stream.blockingRead(65536n))
      if (error) { if (error.tag !== 'closed') failure = wasi['wasi:http/types'].httpErrorCode(error.val); break }
      chunks.push(text(value))
    }
    stream[Symbol.dispose]()
    const end = IncomingBody.finish(incoming); end.subscribe().block()
    const last = end.get().val
    return { status, headers: received, body: chunks.join(''), failure, trailers: last.tag === 'ok' && last.val ? last.val.entries().map(([name, value]) => [name, text(value)]) : last.tag }
  }
`

type Answer = {
  status: number
  headers: Record<string, string>
  body: string
  failure?: { tag: string }
  trailers: unknown
  error?: { tag: string; val?: unknown }
}

async function send(call: string, options: Partial<WasiOptions>, dependencies: WasiDependencies = {}): Promise<Answer> {
  using guest = await Guest.open(options, dependencies)
  return (await guest.call(`${prelude} return send(${call})`)) as Answer
}

test('a guest sends a request with its body and reads the response', async () => {
  const seen: unknown[] = []
  await using server = await LoopbackServer.open(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push([
      request.method,
      request.url,
      request.headers.host,
      request.headers['x-a'],
      request.headers['content-length'],
      body,
    ])
    response.writeHead(203, { 'x-b': 'two', trailer: 'x-sum' }).write('part')
    response.addTrailers({ 'x-sum': '7' })
    response.end('ial')
  })
  const authority = `127.0.0.1:${server.port}`
  for (const late of [false, true]) {
    const answer = await send(
      `{ method: { tag: 'post' }, authority: '${authority}', path: '/p?q=1', headers: [['x-a', bytes('one')], ['content-length', bytes('11')]], body: 'hello world', late: ${late} }`,
      { allowedHosts: [server.origin] },
    )
    deepStrictEqual(
      [answer.status, answer.headers['x-b'], answer.body, answer.trailers],
      [203, 'two', 'partial', [['x-sum', '7']]],
    )
  }
  deepStrictEqual(seen, new Array(2).fill(['POST', '/p?q=1', authority, 'one', '11', 'hello world']))
})

test('a body without content-length is chunked with every method, none is sent for a guest that writes none', async () => {
  const seen: unknown[] = []
  await using server = await LoopbackServer.open(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push([
      request.method,
      request.headers['transfer-encoding'],
      request.headers['content-length'],
      body,
      request.trailers['x-t'],
    ])
    response.end()
  })
  const options = { allowedHosts: [server.origin] }
  const authority = `127.0.0.1:${server.port}`
  for (const method of ['get', 'put']) {
    for (const late of [false, true]) {
      await send(
        `{ method: { tag: '${method}' }, authority: '${authority}', body: ['a', 'b'], late: ${late}, trailers: Fields.fromList([['x-t', bytes('9')]]) }`,
        options,
      )
    }
  }
  await send(`{ authority: '${authority}', body: [] }`, options)
  await send(`{ authority: '${authority}' }`, options)
  deepStrictEqual(seen, [
    ['GET', 'chunked', undefined, 'ab', '9'],
    ['GET', 'chunked', undefined, 'ab', '9'],
    ['PUT', 'chunked', undefined, 'ab', '9'],
    ['PUT', 'chunked', undefined, 'ab', '9'],
    ['GET', undefined, undefined, '', undefined],
    ['GET', undefined, undefined, '', undefined],
  ])
})

test('connections are kept alive between requests and redirects are not followed', async () => {
  const ports = new Set<number | undefined>()
  await using server = await LoopbackServer.open((request, response) => {
    ports.add(request.socket.remotePort)
    if (request.url === '/jump') response.writeHead(302, { location: 'http://169.254.169.254/' }).end()
    else response.end('same')
  })
  using guest = await Guest.open({ allowedHosts: [server.origin] })
  const answer = await guest.call(`${prelude}
    const authority = '127.0.0.1:${server.port}'
    return [send({ authority }).body, send({ authority }).body, send({ authority, path: '/jump' }).status]`)
  deepStrictEqual(answer, ['same', 'same', 302])
  strictEqual(ports.size, 1)
})

test('without allowedHosts nothing goes out, and the listener is told once for each attempt', async () => {
  let reached = 0
  await using server = await LoopbackServer.open((_request, response) => {
    reached++
    response.end()
  })
  const refusals: string[] = []
  const dependencies = {
    onRefusal: ({ target, reason }: { target: string; reason: string }) => refusals.push(`${target}: ${reason}`),
  }
  const answer = await send(`{ authority: '127.0.0.1:${server.port}' }`, {}, dependencies)
  deepStrictEqual(answer, { error: { tag: 'HTTP-request-denied' } })
  deepStrictEqual(refusals, [`http://127.0.0.1:${server.port}: it is not among the allowedHosts`])
  strictEqual(reached, 0)
})

for (const [name, address] of [
  ['metadata.example.test', '169.254.169.254'],
  ['ecs.example.test', '169.254.170.2'],
  ['aws6.example.test', 'fd00:ec2::254'],
  ['mapped.example.test', '::ffff:169.254.169.254'],
  ['nat64.example.test', '64:ff9b::a9fe:a9fe'],
  ['alibaba.example.test', '100.100.100.200'],
  ['any.example.test', '0.0.0.0'],
  ['any6.example.test', '::'],
  ['linklocal.example.test', 'fe80::1'],
  ['denied.example.test', '10.1.2.3'],
  ['loopback.example.test', '127.0.0.1'],
  ['loopback6.example.test', '::1'],
  ['mappedloopback.example.test', '::ffff:127.0.0.1'],
] as const) {
  test(`an allowed name that resolves to ${address} is denied`, async () => {
    const refusals: string[] = []
    const answer = await send(
      `{ authority: '${name}:8080' }`,
      {
        allowedHosts: ['http://*.example.test:8080', `http://${name}:8080`],
        deniedAddresses: ['10.1.2.0/24', '/run/spire/admin.sock'],
      },
      {
        resolve: async () => [
          { address: '192.0.2.1', family: 4 },
          { address, family: address.includes(':') ? 6 : 4 },
        ],
        onRefusal: ({ reason }) => refusals.push(reason),
      },
    )
    deepStrictEqual(answer, { error: { tag: 'HTTP-request-denied' } })
    match(String(refusals), /^it resolves to /)
  })
}

for (const authority of [
  '169.254.169.254',
  '[fd00:ec2::254]',
  '[::ffff:a9fe:a9fe]',
  '2852039166',
  '0xa9fea9fe',
  '0251.0376.0251.0376',
  '169.254.43518',
]) {
  test(`the literal ${authority} is denied even when it is allowed`, async () => {
    const answer = await send(`{ authority: '${authority}' }`, {
      allowedHosts: ['http://169.254.169.254', 'http://[fd00:ec2::254]', `http://*`],
    })
    deepStrictEqual(answer, { error: { tag: 'HTTP-request-denied' } })
  })
}

test('an address denied on one port is reachable on others, and by name as little as by number', async () => {
  await using server = await LoopbackServer.open((_request, response) => response.end('reached'))
  const authority = `127.0.0.1:${server.port}`
  const allowedHosts = [server.origin, `http://localhost:${server.port}`]
  const resolve: WasiDependencies['resolve'] = async () => [{ address: '127.0.0.1', family: 4 }]
  strictEqual(
    (await send(`{ authority: '${authority}' }`, { allowedHosts, deniedAddresses: ['127.0.0.1:1'] })).body,
    'reached',
  )
  for (const host of ['127.0.0.1', 'localhost']) {
    const answer = await send(
      `{ authority: '${host}:${server.port}' }`,
      { allowedHosts, deniedAddresses: [authority] },
      { resolve },
    )
    deepStrictEqual(answer, { error: { tag: 'HTTP-request-denied' } })
  }
})

test('what is connected to is what was checked: a name is resolved once for a connection', async () => {
  await using server = await LoopbackServer.open((_request, response) => response.end('checked'))
  let calls = 0
  const resolve: WasiDependencies['resolve'] = async () => {
    calls++
    return [{ address: calls === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }]
  }
  const answer = await send(
    `{ authority: 'rebind.example.test:${server.port}' }`,
    { allowedHosts: [`http://rebind.example.test:${server.port}`], allowedHostLoopbackPorts: [String(server.port)] },
    { resolve },
  )
  strictEqual(answer.body, 'checked')
  strictEqual(calls, 1)
})

for (const [what, call, tag] of [
  ['user information in the authority', `{ authority: 'allowed.example.test@127.0.0.1' }`, 'HTTP-request-URI-invalid'],
  ['CONNECT', `{ authority: 'allowed.example.test', method: { tag: 'connect' } }`, 'HTTP-request-method-invalid'],
  [
    'another scheme',
    `{ authority: 'allowed.example.test', scheme: { tag: 'other', val: 'ftp' } }`,
    'HTTP-protocol-error',
  ],
  ['no authority', `{ authority: undefined }`, 'HTTP-request-URI-invalid'],
  ['plain http for a bare host', `{ authority: 'bare.example.test' }`, 'HTTP-request-denied'],
  ['another port', `{ authority: 'allowed.example.test:81' }`, 'HTTP-request-denied'],
  [
    'two content-lengths',
    `{ authority: 'allowed.example.test', headers: [['content-length', bytes('1')], ['Content-Length', bytes('1')]] }`,
    'HTTP-protocol-error',
  ],
] as const) {
  test(`${what} is refused with ${tag}`, async () => {
    const answer = await send(call, { allowedHosts: ['http://allowed.example.test', 'bare.example.test'] })
    strictEqual(answer.error?.tag, tag)
  })
}

test('what could not be part of a request line is refused by the setters', async () => {
  using guest = await Guest.open()
  const answer = await guest.call(`const { OutgoingRequest, Fields } = wasi['wasi:http/types']
    const request = new OutgoingRequest(new Fields())
    const refused = (run) => { try { run(); return false } catch { return true } }
    return [
      ...['/a b', '/a\\r\\nX: y', '/\\0', 'a', '/ü', '/a#b', 'http://x/'].map((path) => refused(() => request.setPathWithQuery(path))),
      ...['G ET', '', 'GET\\r\\n'].map((val) => refused(() => request.setMethod({ tag: 'other', val }))),
      ...['a b', 'a/b', 'a\\r\\nb', 'a?b', ''].map((authority) => refused(() => request.setAuthority(authority))),
      refused(() => request.setScheme({ tag: 'other', val: 'a:b' })),
      refused(() => request.setPathWithQuery('/a?b=c%20d&e=[f]')), refused(() => request.setMethod({ tag: 'other', val: 'PURGE' })), refused(() => request.setAuthority('[::1]:80')),
    ]`)
  deepStrictEqual(answer, [...new Array(16).fill(true), false, false, false])
})

test('errors of the network have their codes', async () => {
  const closedPort = await freePort()
  const refused = await send(`{ authority: '127.0.0.1:${closedPort}' }`, {
    allowedHosts: [`http://127.0.0.1:${closedPort}`],
  })
  deepStrictEqual(refused, { error: { tag: 'connection-refused' } })
  const unknown = await send(
    `{ authority: 'gone.example.test' }`,
    { allowedHosts: ['http://gone.example.test'] },
    {
      resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })),
    },
  )
  deepStrictEqual(unknown.error, { tag: 'DNS-error', val: { rcode: 'NXDOMAIN' } })
})

for (const [what, reply, check] of [
  ['garbage', 'garbage\r\n\r\n', (answer: Answer) => strictEqual(answer.error?.tag, 'HTTP-protocol-error')],
  ['nothing', '', (answer: Answer) => strictEqual(answer.error?.tag, 'connection-terminated')],
  [
    'less than it announced',
    'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc',
    (answer: Answer) =>
      deepStrictEqual([answer.body, answer.failure?.tag, answer.trailers], ['abc', 'HTTP-response-incomplete', 'err']),
  ],
  [
    'a head that is too large',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    (answer: Answer) => strictEqual(answer.error?.tag, 'HTTP-response-header-section-size'),
  ],
  [
    'an upgrade',
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
    (answer: Answer) => strictEqual(answer.error?.tag, 'HTTP-upgrade-failed'),
  ],
] as const) {
  test(`a server that answers ${what} is an error to the guest, not to the host`, async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(reply))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    check(await send(`{ authority: '127.0.0.1:${port}' }`, { allowedHosts: [`http://127.0.0.1:${port}`] }))
    await new Promise((resolve) => server.close(resolve))
  })
}

test('a response beyond the largest size breaks off', async () => {
  await using server = await LoopbackServer.open((_request, response) => response.end('x'.repeat(300_000)))
  const answer = await send(`{ authority: '127.0.0.1:${server.port}' }`, {
    allowedHosts: [server.origin],
    maxBodyBytes: 100_000,
  })
  strictEqual(answer.failure?.tag, 'HTTP-response-body-size')
  ok(answer.body.length <= 100_000)
})

test('timeouts of the guest hold: first byte, and between bytes', async () => {
  await using server = await LoopbackServer.open((request, response) => {
    if (request.url === '/slow-body') response.writeHead(200).write('begun')
  })
  using guest = await Guest.open({ allowedHosts: [server.origin] })
  const answer = (await guest.call(`${prelude}
    const authority = '127.0.0.1:${server.port}', first = new RequestOptions(), between = new RequestOptions()
    first.setFirstByteTimeout(50_000_000n); between.setBetweenBytesTimeout(50_000_000n)
    const set = first.firstByteTimeout()
    return [send({ authority, options: first }), send({ authority, path: '/slow-body', options: between }), set]`)) as [
    Answer,
    Answer,
    number,
  ]
  strictEqual(answer[0].error?.tag, 'connection-read-timeout')
  deepStrictEqual([answer[1].body, answer[1].failure?.tag], ['begun', 'connection-read-timeout'])
  strictEqual(answer[2], 50_000_000)
})

test('the end of the instance ends its requests', async () => {
  let closed: () => void = () => {}
  const aborted = new Promise<void>((resolve) => {
    closed = resolve
  })
  await using server = await LoopbackServer.open((_request, response) => {
    response.on('close', closed)
  })
  using guest = await Guest.open({ allowedHosts: [server.origin] })
  const waiting = guest.call(`${prelude} return send({ authority: '127.0.0.1:${server.port}' })`).catch(String)
  setTimeout(() => guest.abort(new Error('time is up')), 100)
  match(String(await waiting), /time is up/)
  await aborted
})

test('dropping the future gives the request up', async () => {
  let closed: () => void = () => {}
  const aborted = new Promise<void>((resolve) => {
    closed = resolve
  })
  await using server = await LoopbackServer.open((_request, response) => {
    response.on('close', closed)
  })
  using guest = await Guest.open({ allowedHosts: [server.origin] })
  await guest.call(`${prelude}
    const request = new OutgoingRequest(new Fields()); request.setScheme({ tag: 'HTTP' }); request.setAuthority('127.0.0.1:${server.port}')
    const future = handle(request, undefined)
    wasi['wasi:clocks/monotonic-clock'].subscribeDuration(100_000_000n).block()
    future[Symbol.dispose]()`)
  await aborted
})

async function freePort(): Promise<number> {
  const server = await LoopbackServer.open(() => {})
  const { port } = server
  await server[Symbol.asyncDispose]()
  return port
}
