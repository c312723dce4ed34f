import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Cell, Engine } from '../../src/engine/engine.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { cellSpec, component, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent } from './guests/build-guest.ts'

const options = { host: '127.0.0.1', port: 0, maxHeaderBytes: 16_384, keepAliveTimeoutMs: 5000, maxConnections: 100 }
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a cell that listens itself', () => {
  let engine: Engine
  let cell: Cell
  let port: number
  let url: string
  /** The same component with time enough for what a busy machine takes long for. */
  let patient: { cell: Cell; port: number; url: string }
  const maxBodyBytes = 16 * 1024 * 1024
  before(async () => {
    engine = testEngine()
    const limits = { maxBodyBytes, requestTimeoutMs: 2_000, watchdogMs: 1_000 }
    cell = await engine.startCell(cellSpec(component(await faultsComponent(), limits)), { signal: signal() })
    port = (await cell.listenHttp!('guest', options)).port
    url = `http://127.0.0.1:${port}`
    const slow = { maxBodyBytes, requestTimeoutMs: 60_000, watchdogMs: 10_000 }
    const other = await engine.startCell(cellSpec(component(await faultsComponent(), slow)), { signal: signal() })
    const { port: otherPort } = await other.listenHttp!('guest', options)
    patient = { cell: other, port: otherPort, url: `http://127.0.0.1:${otherPort}` }
  })
  after(() => engine[Symbol.asyncDispose]())
  const idle = async () => {
    const until = performance.now() + 15_000
    while (patient.cell.metrics().inFlight > 0) {
      assert.ok(performance.now() < until, 'a request never ended')
      await sleep(5)
    }
  }
  const raw = async (text: string) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setTimeout(15_000, () => socket.destroy())
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('error', () => {})
    socket.write(text)
    await new Promise((resolve) => socket.once('close', resolve))
    return answer
  }

  test('answers, with a length for what is complete', async () => {
    const answer = await fetch(`${url}/hello`)
    assert.equal(answer.headers.get('content-length'), '6')
    assert.equal(await answer.text(), '/hello')
  })

  test('passes bodies both ways', async () => {
    const body = new Uint8Array(3_000_000).map((_, index) => index % 251)
    const answer = await fetch(`${patient.url}/echo`, { method: 'POST', body })
    const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
    assert.equal(digest(new Uint8Array(await answer.arrayBuffer())), digest(body))
    assert.equal(await (await fetch(`${patient.url}/echo`, { method: 'POST', body: '' })).text(), '')
    assert.equal((await (await fetch(`${patient.url}/big`)).arrayBuffer()).byteLength, 8 * 1024 * 1024)
  })

  test('keeps the bodies of requests at the same time apart, also of clients that take theirs slowly', async () => {
    await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const body = new Uint8Array(1_500_000).map((_, index) => (index * (n + 1)) % 251)
        const answer = await fetch(`${patient.url}/echo`, { method: 'POST', body })
        let at = 0
        for await (const chunk of answer.body!) {
          if (n % 3 === 0) await sleep(1)
          assert.deepEqual(chunk, body.subarray(at, at + chunk.length))
          at += chunk.length
        }
        assert.equal(at, body.length)
      }),
    )
  })

  test('streams: what was sent comes back before the request ends', async () => {
    const request = httpRequest({ port: patient.port, host: '127.0.0.1', path: '/echo', method: 'POST' })
    request.write('first')
    const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
    const chunk = await new Promise<Buffer>((resolve) => response.once('data', resolve))
    assert.equal(chunk.toString(), 'first')
    request.end('last')
    let rest = ''
    for await (const part of response) rest += part
    assert.equal(rest, 'last')
  })

  test('holds a fast guest back for a slow client', async () => {
    const socket = connect(patient.port, '127.0.0.1')
    socket.pause()
    socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
    while (patient.cell.metrics().inFlight === 0) await sleep(2)
    await sleep(200)
    assert.equal(patient.cell.metrics().inFlight, 1, 'the guest must still be writing')
    socket.destroy()
    await idle()
  })

  test('ends the guest when its client goes away', async () => {
    const socket = connect(patient.port, '127.0.0.1')
    socket.write('GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n')
    while (patient.cell.metrics().inFlight === 0) await sleep(2)
    socket.destroy()
    await idle()
  })

  test('refuses what is too large, and requests that name no host', async () => {
    assert.match(
      await raw(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`),
      /^HTTP\/1\.1 413 /,
    )
    assert.match(await raw('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'), /^HTTP\/1\.1 400 /)
  })

  for (const [path, status] of [
    ['/trap', 500],
    ['/nothing', 500],
    ['/sleep', 504],
  ] as const) {
    test(`answers ${path} with ${status}`, async () => {
      const answer = await fetch(url + path)
      assert.equal(answer.status, status)
      await answer.text()
    })
  }

  test('a response broken off in the middle never looks complete', async () => {
    const answer = await fetch(`${url}/half`)
    assert.equal(answer.status, 200)
    await assert.rejects(answer.text())
  })

  for (const path of ['/unfinished', '/too-short']) {
    test(`${path} never gets a complete answer`, async () => {
      // A guest that waited for its bytes to leave has a head on the wire already; one that did not gets an error.
      const answer = await fetch(url + path).catch(() => undefined)
      if (answer !== undefined && answer.status < 500) await assert.rejects(answer.text())
      assert.equal(await (await fetch(`${url}/next`)).text(), '/next')
    })
  }

  test('keeps requests of one connection apart, HEAD among them', async () => {
    const answer = await raw(
      'HEAD /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 2)
    assert.doesNotMatch(answer, /\/one/)
    assert.match(answer, /\/two$/)
  })

  test('after an endless loop the new cell listens on the same port', async () => {
    await assert.rejects(fetch(`${url}/loop`))
    const until = performance.now() + 15_000
    for (;;) {
      const answer = await fetch(`${url}/again`).catch(() => undefined)
      if ((await answer?.text()) === '/again') break
      assert.ok(performance.now() < until)
      await sleep(5)
    }
  })

  test('an address that cannot be had is an error that says so', async () => {
    await assert.rejects(cell.listenHttp!('guest', { ...options, host: '192.0.2.1' }), (error) =>
      isHeraldError(error, 'ERR_INGRESS_LISTEN'),
    )
  })
})
