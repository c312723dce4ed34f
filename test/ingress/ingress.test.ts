import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import type { Cell, Engine } from '../../src/engine/engine.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { createIngress } from '../../src/ingress/create-ingress.ts'
import type { Ingress } from '../../src/ingress/ingress.ts'
import { cellSpec, component, log, serve, signal, testEngine } from '../engine/engine-fixture.ts'
import { faultsComponent } from '../engine/guests/build-guest.ts'

describe('the ingress', () => {
  let engine: Engine
  let cell: Cell
  let ingress: Ingress & { url: string }
  const maxBodyBytes = 16 * 1024 * 1024

  before(async () => {
    engine = testEngine()
    cell = await engine.startCell(cellSpec(component(await faultsComponent(), { maxBodyBytes, poolSize: 2 })), {
      signal: signal(),
    })
    ingress = await serve(cell)
  })
  after(async () => {
    await ingress.close()
    await engine[Symbol.asyncDispose]()
  })

  const idle = async () => {
    const until = performance.now() + 3000
    while (cell.metrics().inFlight > 0) {
      assert.ok(performance.now() < until, 'a request never ended')
      await sleep(5)
    }
  }

  test('passes a body through both ways', async () => {
    const body = new Uint8Array(5_000_000).map((_, index) => index % 251)
    const answer = await fetch(`${ingress.url}/echo`, { method: 'POST', body })
    const back = new Uint8Array(await answer.arrayBuffer())
    assert.equal(digest(back), digest(body))
  })

  test('passes an empty body, and one of unknown length', async () => {
    assert.equal(await (await fetch(`${ingress.url}/echo`, { method: 'POST', body: '' })).text(), '')
    const stream = new ReadableStream({
      async start(controller) {
        for (const word of ['one ', 'two ', 'three']) {
          controller.enqueue(new TextEncoder().encode(word))
          await sleep(10)
        }
        controller.close()
      },
    })
    const answer = await fetch(`${ingress.url}/echo`, { method: 'POST', body: stream, duplex: 'half' } as RequestInit)
    assert.equal(await answer.text(), 'one two three')
  })

  test('streams: what was sent comes back before the request ends', async () => {
    const { port } = ingress.address
    const request = httpRequest({ port, host: '127.0.0.1', path: '/echo', method: 'POST' })
    request.write('first')
    const response = await new Promise<import('node:http').IncomingMessage>((resolve) =>
      request.on('response', resolve),
    )
    const chunk = await new Promise<Buffer>((resolve) => response.once('data', resolve))
    assert.equal(chunk.toString(), 'first')
    request.end('last')
    let rest = ''
    for await (const part of response) rest += part
    assert.equal(rest, 'last')
  })

  test('holds a fast guest back for a slow client', async () => {
    const socket = await open(ingress)
    socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
    socket.pause()
    await sleep(300)
    assert.equal(cell.metrics().inFlight, 1, 'the guest must still be writing')
    let received = 0
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    socket.resume()
    await idle()
    while (received < 8 * 1024 * 1024) await sleep(10)
    socket.destroy()
  })

  test('ends the guest when its client goes away', async () => {
    const { instances } = cell.metrics()
    const socket = await open(ingress)
    socket.write('GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n')
    while (cell.metrics().inFlight === 0) await sleep(2)
    socket.destroy()
    await idle()
    assert.ok(cell.metrics().instances <= instances)
  })

  test('refuses a body that is too large, said or not', async () => {
    const said = await raw(ingress, `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`)
    assert.match(said, /^HTTP\/1\.1 413 /)
    assert.match(said, /ERR_INGRESS_BODY_TOO_LARGE/)
    const socket = await open(ingress)
    let answer = ''
    socket.on('data', (data) => {
      if (answer.length < 1000) answer += data
    })
    socket.on('error', () => {})
    socket.write('POST /nothing-reads HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')])
    // Less than what is read of a body that nobody wants: what comes after that cuts the connection, and the answer may be lost with it.
    for (let n = 0; n < 3; n++) socket.write(chunk)
    const until = performance.now() + 20_000
    while (answer === '') {
      assert.ok(performance.now() < until, 'no answer came')
      await sleep(5)
    }
    assert.match(answer, /^HTTP\/1\.1 (200|413) /)
    for (let n = 0; n < 400 && !socket.destroyed; n++) {
      if (!socket.write(chunk)) await sleep(1)
    }
    while (!socket.destroyed) {
      assert.ok(performance.now() < until, 'the connection was never cut')
      await sleep(5)
    }
    await idle()
  })

  for (const [what, head] of [
    ['no Host header', 'GET / HTTP/1.1\r\n\r\n'],
    ['no Host header in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
    ['two Host headers', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['an unknown transfer coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabcd'],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n'],
  ] as const) {
    test(`answers ${what} with 400`, async () => {
      assert.match(await raw(ingress, head), /^HTTP\/1\.1 400 /)
    })
  }

  test('answers a head that is too large with 431', async () => {
    assert.match(
      await raw(ingress, `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    )
  })

  test('keeps requests of one connection apart', async () => {
    const answer = await raw(
      ingress,
      'GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 2)
    assert.ok(answer.indexOf('/one') < answer.indexOf('/two'))
  })

  test('takes the authority of an absolute request target over the Host header', async () => {
    const answer = await raw(ingress, 'GET http://b.example/path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert.match(answer, /\r\n\/path$/)
  })

  test('answers HEAD without a body and keeps the connection in step', async () => {
    const answer = await raw(
      ingress,
      'HEAD /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 2)
    assert.doesNotMatch(answer, /\/one/)
  })

  test('answers 503 while not ready', async () => {
    ingress.setReady(false)
    assert.equal((await fetch(ingress.url)).status, 503)
    ingress.setReady(true)
    assert.equal((await fetch(ingress.url)).status, 200)
  })
})

test('a fast client is held back for a slow guest, until the deadline', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const cell = await engine.startCell(cellSpec(component(bytes, { requestTimeoutMs: 1000 })), { signal: signal() })
  await using ingress = await serve(cell)
  const total = 16 * 1024 * 1024
  const socket = await open(ingress)
  socket.on('error', () => {})
  socket.write(`POST /sleep HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`)
  const chunk = Buffer.alloc(65_536)
  let taken = 0
  const more = () => {
    while (taken < total && socket.write(chunk)) taken += chunk.length
  }
  socket.on('drain', more)
  more()
  await sleep(600)
  assert.ok(taken < total, 'the whole body was taken though nobody reads it')
  const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  assert.match(answer.toString(), /^HTTP\/1\.1 504 /)
  socket.destroy()
})

test('hosts are told apart without port and case; an unknown one gets 404; a route ends with its disposal', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const [a, b] = await Promise.all([1, 2].map(() => engine.startCell(cellSpec(component(bytes)), { signal: signal() })))
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  const routeA = ingress.route({ hosts: ['a.example'], cell: a!, component: 'guest' })
  ingress.route({ hosts: ['B.example', 'c.example'], cell: b!, component: 'guest' })
  const ask = async (host: string) =>
    Number(
      /^HTTP\/1\.1 (\d+)/.exec(await raw(ingress, `GET /x HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))![1],
    )
  assert.equal(await ask('A.example:80'), 200)
  assert.equal(await ask('b.example'), 200)
  assert.equal(await ask('c.example:8000'), 200)
  assert.deepEqual([a!.metrics().requests, b!.metrics().requests], [1, 2])
  assert.equal(await ask('d.example'), 404)
  routeA[Symbol.dispose]()
  assert.equal(await ask('a.example'), 404)
})

test('replicas behind one host share its requests, and one that is down is passed over', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const cells = await Promise.all([1, 2].map(() => engine.startCell(cellSpec(component(bytes)), { signal: signal() })))
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  for (const cell of cells) ingress.route({ hosts: '*', cell, component: 'guest' })
  const url = `http://127.0.0.1:${ingress.address.port}/exclusive`
  await Promise.all(Array.from({ length: 20 }, async () => (await fetch(url)).text()))
  for (const cell of cells) assert.ok(cell.metrics().requests >= 5, `${cell.metrics().requests} requests`)
  await cells[0]!.close()
  // The ingress thread hears of it by a message, which requests may overtake.
  const end = performance.now() + 10_000
  for (let inARow = 0; inARow < 10; ) {
    inARow = (await fetch(url)).status === 200 ? inARow + 1 : 0
    assert.ok(performance.now() < end, 'the ingress goes on asking the cell that is closed')
  }
})

test('requests in flight may finish while the ingress closes; new connections are refused', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
  const ingress = await serve(cell)
  const socket = await open(ingress)
  socket.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12')
  let answer = ''
  socket.on('data', (data) => {
    answer += data
  })
  while (cell.metrics().inFlight === 0) await sleep(2)
  const closed = ingress.close({ drainTimeoutMs: 5000 })
  await sleep(30)
  await assert.rejects(fetch(ingress.url))
  socket.write('34')
  await closed
  assert.match(answer, /200 OK.*12.*34/s)
})

test('an address that is taken is an error that says so', async () => {
  await using first = await createIngress({ log, host: '127.0.0.1', port: 0 })
  await assert.rejects(createIngress({ log, host: '127.0.0.1', port: first.address.port }), (error) => {
    assert.ok(isHeraldError(error, 'ERR_INGRESS_LISTEN'))
    assert.match(error.message, /EADDRINUSE/)
    return true
  })
})

test('an ingress thread that ends by itself is replaced, with its port and its routes', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
  const threads: Worker[] = []
  await using ingress = await createIngress({
    log,
    host: '127.0.0.1',
    port: 0,
    onThread: (worker) => threads.push(worker),
  })
  ingress.route({ hosts: ['a'], cell, component: 'guest' })
  const ask = () => raw(ingress, 'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  assert.match(await ask(), /^HTTP\/1\.1 200 /)
  await threads[0]!.terminate()
  const until = performance.now() + 10_000
  while (!(await ask().catch(() => '')).startsWith('HTTP/1.1 200')) {
    assert.ok(performance.now() < until, 'no new thread answers')
    await sleep(10)
  }
  assert.equal(threads.length, 2)
})

test('several threads listen on one port and serve the same routes', async () => {
  const bytes = await faultsComponent()
  await using engine = testEngine()
  const cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
  await using ingress = await createIngress({ log, host: '127.0.0.1', port: 0, threads: 2 })
  ingress.route({ hosts: '*', cell, component: 'guest' })
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => raw(ingress, 'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')),
  )
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /)
})

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function open({ address }: Ingress): Promise<Socket> {
  const socket = connect(address.port, address.host)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/** Sends bytes, gives all that comes back until the connection is closed (or nothing more comes for a second). */
async function raw(ingress: Ingress, text: string): Promise<string> {
  const socket = await open(ingress)
  let answer = ''
  socket.setTimeout(1000, () => socket.destroy())
  socket.on('data', (data) => {
    answer += data
  })
  socket.on('error', () => {})
  socket.write(text)
  await new Promise((resolve) => socket.once('close', resolve))
  return answer
}
