import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { DirectExchange } from '../../src/engine/direct-exchange.ts'
import { HttpServer, type HttpServerOptions } from '../../src/engine/http-server.ts'
import { readRequestHead } from '../../src/engine/request-head.ts'

const boundMs = 15_000
const maxBodyBytes = 1024 * 1024
const usual: HttpServerOptions = {
  host: '127.0.0.1',
  port: 0,
  reusePort: false,
  maxHeaderBytes: 16_384,
  maxConnections: 1000,
  keepAliveTimeoutMs: 60_000,
  headTimeoutMs: 60_000,
  bodyTimeoutMs: 60_000,
  lingerMs: 1_000,
}

type Options = Partial<HttpServerOptions> & { bodyBytes?: number }
type Serve = (exchange: DirectExchange) => unknown

async function listen(serve: Serve, { bodyBytes = maxBodyBytes, ...options }: Options = {}) {
  const rules = {
    maxBodyBytes: bodyBytes,
    refusal: () => undefined,
    serve: (exchange: DirectExchange) => void serve(exchange),
  }
  const server = new HttpServer({ ...usual, ...options }, (connection, request) => {
    return new DirectExchange(connection, request, rules)
  })
  await server.listen()
  return server
}

class Client {
  readonly socket: Socket
  text = ''
  #closed = false
  readonly #listeners = new Set<() => void>()

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (data) => {
      this.text += data
      this.#changed()
    })
    this.socket.on('error', () => {})
    for (const event of ['end', 'close']) {
      this.socket.on(event, () => {
        this.#closed = true
        this.#changed()
      })
    }
  }
  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
  send(text: string | Uint8Array): this {
    this.socket.write(text)
    return this
  }
  async until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(
      () => reject(new Error(`${what}; got ${JSON.stringify(this.text.slice(0, 500))}`)),
      boundMs,
    )
    const listener = () => condition() && resolve()
    this.#listeners.add(listener)
    await promise.finally(() => {
      clearTimeout(timer)
      this.#listeners.delete(listener)
    })
  }
  async has(text: string): Promise<void> {
    await this.until(() => this.text.includes(text), `never came: ${text}`)
  }
  /** All that came until the server ended the connection. */
  async all(): Promise<string> {
    await this.until(() => this.#closed, 'the connection was never ended')
    this.socket.destroy()
    return this.text
  }
}

const closing = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))

/** Answers with method, path and body. */
const echo: Serve = async (exchange) => {
  try {
    let body = ''
    for (;;) {
      const chunk = await exchange.body?.read()
      if (chunk === undefined) break
      body += Buffer.from(chunk).toString('latin1')
    }
    const sink = exchange.respond(200, [['content-type', 'text/plain']])
    sink.write(Buffer.from(`<${exchange.method} ${exchange.pathWithQuery} ${body}>`))
    sink.end()
  } catch {
    exchange.fail(500, 'ERR_COMPONENT_TRAP', 'it broke off')
  }
}

describe('the HTTP server of a cell', () => {
  const servers: HttpServer[] = []
  const started = async (serve: Serve, options?: Options) => {
    const server = await listen(serve, options)
    servers.push(server)
    return server
  }
  const client = (server: HttpServer) => new Client(server.port)
  after(() => {
    for (const server of servers) {
      void server.close()
      server.closeAllConnections()
    }
  })

  describe('requests', () => {
    let server: HttpServer
    before(async () => {
      server = await started(echo)
    })

    test('are answered in their order when the client does not wait', async () => {
      const text = await client(server)
        .send(
          'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none' +
            'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n' +
            `GET /3 HTTP/1.1\r\nHost: a\r\n\r\n${closing}`,
        )
        .all()
      assert.deepEqual(text.match(/<.*?>/g), ['<POST /1 one>', '<POST /2 two>', '<GET /3 >', '<GET /last >'])
      assert.equal(text.match(/content-length/g)?.length, 4)
    })

    test('may come in pieces of any size', async () => {
      const peer = client(server)
      peer.socket.setNoDelay(true)
      for (const character of `POST /slow?x=1 HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${closing}`) {
        peer.send(character)
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.deepEqual((await peer.all()).match(/<.*?>/g), ['<POST /slow?x=1 hello>', '<GET /last >'])
    })

    test('with more than 32 fields keep them all', async () => {
      const seen: (readonly [string, string])[] = []
      const other = await started((exchange) => {
        seen.push(...exchange.headers)
        exchange.respond(200, []).end()
      })
      const fields = Array.from({ length: 200 }, (_, index) => `X-${index}: ${index}\r\n`).join('')
      await client(other).send(`GET / HTTP/1.1\r\nHost: a\r\n${fields}Connection: close\r\n\r\n`).all()
      assert.deepEqual(
        seen.map(([name]) => name),
        ['host', ...Array.from({ length: 200 }, (_, index) => `x-${index}`)],
      )
    })

    test('get told to go on with their body, once, and only when it will be read', async () => {
      const peer = client(server).send(
        'POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n',
      )
      await peer.has('100 Continue\r\n\r\n')
      assert.match(await peer.send('ok').all(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*<POST \/c ok>$/)
      const refused = await client(server)
        .send(`POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`)
        .all()
      assert.deepEqual(statuses(refused), [413])
    })

    test('for HEAD get a head only, and the next one its own', async () => {
      const text = await client(server).send(`HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n${closing}`).all()
      assert.deepEqual(statuses(text), [200, 200])
      assert.deepEqual(text.match(/<.*?>/g), ['<GET /last >'])
    })

    test('for another protocol stay HTTP, and end the connection', async () => {
      const upgrade = 'GET /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
      const text = await client(server)
        .send(upgrade + closing)
        .all()
      assert.deepEqual(statuses(text), [200])
      assert.match(text, /Connection: close/)
      assert.deepEqual(statuses(await client(server).send('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n').all()), [400])
    })

    test('of HTTP/1.0 end the connection unless they ask for more', async () => {
      assert.match(
        await client(server).send('GET / HTTP/1.0\r\nHost: a\r\n\r\n').all(),
        /Connection: close[\s\S]*<GET \/ >$/,
      )
      const text = await client(server)
        .send(`GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\nHost: a\r\n\r\n`)
        .all()
      assert.match(text, /Connection: keep-alive/)
      assert.deepEqual(text.match(/<.*?>/g), ['<GET / >', '<GET /2 >'])
    })

    test('whose body is larger than it may be are refused, announced or not', async () => {
      const chunk = 'x'.repeat(65_536)
      const peer = client(server).send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (let sent = 0; sent <= maxBodyBytes; sent += chunk.length) peer.send(`10000\r\n${chunk}\r\n`)
      assert.deepEqual(statuses(await peer.all()), [500])
    })
  })

  describe('is as strict as node:http is', () => {
    let ours: HttpServer
    const nodes = createServer({ maxHeaderSize: usual.maxHeaderBytes }, (request, response) => {
      const head = readRequestHead(request)
      if (typeof head === 'string') {
        response.writeHead(400, { connection: 'close' }).end(head)
        return
      }
      let body = ''
      request.on('data', (data) => {
        body += data
      })
      request.on('end', () => response.end(`<${request.method} ${request.url} ${body}>`))
      request.on('error', () => {})
    })
    before(async () => {
      ours = await started(echo)
      nodes.listen(0, '127.0.0.1')
      await once(nodes, 'listening')
    })
    after(() => {
      nodes.close()
      nodes.closeAllConnections()
    })

    const get = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
    const post = (fields: string, body = '') => `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`
    const hostile: [what: string, request: string][] = [
      ['two lengths', post('Content-Length: 5\r\nContent-Length: 0\r\n', 'hello') + get],
      ['the same length twice', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
      ['a list of lengths', post('Content-Length: 5, 5\r\n', 'hello')],
      ['a length with a sign', post('Content-Length: +5\r\n', 'hello')],
      ['a negative length', post('Content-Length: -1\r\n')],
      ['a length in hex', post('Content-Length: 0x5\r\n', 'hello')],
      ['a length too long for a number', post(`Content-Length: ${'9'.repeat(30)}\r\n`)],
      ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${get}`)],
      ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${get}`)],
      ['an unknown encoding', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${get}`)],
      ['chunks that are not last', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${get}`)],
      ['chunks twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${get}`)],
      ['chunks hidden by a tab', post('Transfer-Encoding:\tchunked\r\n', `0\r\n\r\n${get}`)],
      ['chunks hidden by a space before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${get}`)],
      ['chunks in quotes', post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${get}`)],
      ['a folded field', post('X-A: b\r\n Content-Length: 5\r\n', get)],
      ['a folded encoding', post('Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${get}`)],
      ['lines that end in LF', `GET / HTTP/1.1\nHost: a\n\n${get}`],
      ['a lone CR', `GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n${get}`],
      ['a NUL in a field', `GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n${get}`],
      ['a field without a name', `GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n${get}`],
      ['a field without a colon', `GET / HTTP/1.1\r\nHost: a\r\nXy\r\n\r\n${get}`],
      ['a space in a name', `GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n${get}`],
      ['two hosts', `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${get}`],
      ['no host', `GET / HTTP/1.1\r\n\r\n${get}`],
      ['a host that is none', `GET / HTTP/1.1\r\nHost: a/b\r\n\r\n${get}`],
      ['a chunk size that is none', post('Transfer-Encoding: chunked\r\n', `zz\r\nhello\r\n0\r\n\r\n${get}`)],
      ['a chunk size with a sign', post('Transfer-Encoding: chunked\r\n', `-1\r\nhello\r\n0\r\n\r\n${get}`)],
      ['a chunk size too large', post('Transfer-Encoding: chunked\r\n', `${'f'.repeat(20)}\r\nhello\r\n`)],
      ['a chunk that is longer than it says', post('Transfer-Encoding: chunked\r\n', `2\r\nhello\r\n0\r\n\r\n${get}`)],
      ['chunk lines that end in LF', post('Transfer-Encoding: chunked\r\n', `5\nhello\n0\n\n${get}`)],
      ['an endless chunk extension', post('Transfer-Encoding: chunked\r\n', `5;${'a'.repeat(20_000)}\r\nhello\r\n`)],
      ['a head that is too large', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(20_000)}\r\n\r\n${get}`],
      ['a target that is too long', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n${get}`],
      ['trailers that are too large', post('Transfer-Encoding: chunked\r\n', `0\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`)],
      ['an unknown method', `FROB / HTTP/1.1\r\nHost: a\r\n\r\n${get}`],
      ['HTTP/0.9', 'GET /\r\n\r\n'],
      ['HTTP/1.2', `GET / HTTP/1.2\r\nHost: a\r\n\r\n${get}`],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
      [
        'a length on the way to another protocol',
        post('Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n', 'hi'),
      ],
    ]
    for (const [what, request] of hostile) {
      test(`for ${what}`, async () => {
        // What node:http takes as one request ours takes as one, and what it refuses ours refuses too.
        const served = async (port: number) => {
          const peer = new Client(port).send(Buffer.from(request + closing, 'latin1'))
          await peer.all()
          return { bodies: peer.text.match(/<.*?>/g), refused: statuses(peer.text).some((status) => status >= 400) }
        }
        const theirs = await served((nodes.address() as AddressInfo).port)
        const own = await served(ours.port)
        assert.deepEqual(own.bodies ?? [], theirs.bodies ?? [])
        if (theirs.refused) assert.ok(own.refused)
      })
    }
  })

  describe('responses', () => {
    const respond = async (serve: Serve, request = closing) =>
      client(await started(serve))
        .send(request)
        .all()

    test('that are not complete at once are chunked, with trailers', async () => {
      const text = await respond(async (exchange) => {
        const sink = exchange.respond(200, [])
        sink.write(Buffer.from('one'))
        await new Promise((resolve) => setTimeout(resolve, 5))
        sink.write(Buffer.from('two'))
        sink.write(Buffer.from('three'))
        sink.end([['x-sum', '3']])
      })
      assert.match(text, /Transfer-Encoding: chunked[\s\S]*\r\n\r\n3\r\none\r\n8\r\ntwothree\r\n0\r\nx-sum: 3\r\n\r\n$/)
    })

    test('to HTTP/1.0 end with the connection', async () => {
      const text = await respond(async (exchange) => {
        const sink = exchange.respond(200, [])
        sink.write(Buffer.from('one'))
        await new Promise((resolve) => setTimeout(resolve, 5))
        sink.write(Buffer.from('two'))
        sink.end()
      }, 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
      assert.doesNotMatch(text, /chunked|keep-alive/i)
      assert.match(text, /\r\n\r\nonetwo$/)
    })

    for (const status of [204, 304]) {
      test(`of ${status} have no body, whatever the component says`, async () => {
        const serve: Serve = (exchange) => {
          const sink = exchange.respond(exchange.pathWithQuery === '/' ? status : 200, [['content-length', '3']])
          sink.write(Buffer.from('abc'))
          sink.end()
        }
        const text = await respond(serve, `GET / HTTP/1.1\r\nHost: a\r\n\r\n${closing}`)
        assert.deepEqual(statuses(text), [status, 200])
        assert.equal(text.match(/abc/g)?.length, 1)
      })
    }

    for (const [what, headers] of [
      ['a line break in a value', [['x', 'a\r\nSet-Cookie: b']]],
      ['a NUL in a value', [['x', 'a\0']]],
      ['a character beyond latin-1', [['x', 'ā']]],
      ['a line break in a name', [['x\r\ny', 'a']]],
      ['an empty name', [['', 'a']]],
      [
        'two lengths',
        [
          ['content-length', '2'],
          ['Content-Length', '2'],
        ],
      ],
      ['a length that is none', [['content-length', '2 ']]],
      ['another length than the body', [['content-length', '3']]],
    ] as [string, [string, string][]][]) {
      test(`with ${what} are refused`, async () => {
        const text = await respond((exchange) => {
          const sink = exchange.respond(200, headers)
          sink.write(Buffer.from('ab'))
          sink.end()
        })
        assert.deepEqual(statuses(text), [502])
        assert.match(text, /ERR_INGRESS_RESPONSE_INVALID/)
      })
    }

    test('cannot set fields of the connection', async () => {
      const text = await respond((exchange) => {
        const own = ['Connection', 'Keep-Alive', 'Transfer-Encoding', 'Upgrade', 'TE', 'Trailer', 'Proxy-Connection']
        exchange
          .respond(
            200,
            own.map((name): [string, string] => [name, 'evil']),
          )
          .end()
      })
      assert.doesNotMatch(text, /evil/)
    })

    for (const [what, written, announced] of [
      ['longer', 'abcdef', 5],
      ['shorter', 'abcd', 5],
    ] as const) {
      test(`that turn out ${what} than announced never look complete`, async () => {
        const text = await respond(async (exchange) => {
          const sink = exchange.respond(200, [['content-length', String(announced)]])
          sink.write(Buffer.from('ab'))
          await new Promise((resolve) => setTimeout(resolve, 5))
          sink.write(Buffer.from(written.slice(2)))
          sink.end()
        })
        assert.ok(text.slice(text.indexOf('\r\n\r\n') + 4).length < announced)
      })
    }

    test('that fail before their head are errors, and after it are broken off', async () => {
      assert.match(
        await respond((exchange) => exchange.fail(504, 'ERR_X', 'too slow')),
        /^HTTP\/1\.1 504 [\s\S]*too slow/,
      )
      const text = await respond(async (exchange) => {
        exchange.respond(200, []).write(Buffer.from('part'))
        await new Promise((resolve) => setTimeout(resolve, 5))
        exchange.fail(500, 'ERR_X', 'trap')
      })
      assert.match(text, /part/)
      assert.doesNotMatch(text, /\r\n0\r\n/)
    })

    test('before the body has come are seen by a client that sends it all the same', async () => {
      const server = await started((exchange) => exchange.respond(403, []).end())
      const peer = client(server).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n')
      await peer.has('403')
      peer.send('x'.repeat(200_000))
      peer.send(closing)
      await peer.until(() => statuses(peer.text).length === 2, 'the connection did not go on')
      peer.socket.destroy()
    })

    test('hold the component back while the client does not take them, and let go of it when the client goes', async () => {
      const gone = Promise.withResolvers<Error>()
      const settled = Promise.withResolvers<unknown>()
      const full = Promise.withResolvers<void>()
      const server = await started(
        async (exchange) => {
          exchange.onGone = gone.resolve
          const sink = exchange.respond(200, [])
          try {
            for (;;) {
              if (sink.writable() === 0) {
                const ready = sink.ready()
                setImmediate(full.resolve)
                await ready
              }
              sink.write(new Uint8Array(65_536))
            }
          } catch (error) {
            settled.resolve(error)
          }
        },
        { bodyBytes: 1024 * 1024 * 1024 },
      )
      const peer = client(server)
      peer.socket.pause()
      peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await full.promise
      peer.socket.destroy()
      assert.match((await gone.promise).message, /client is gone/)
      assert.match(String(await settled.promise), /client is gone/)
    })
  })

  describe('clients that are slow or gone', () => {
    test('in their head are told so, in their body are cut, and between requests are let go', async () => {
      const short = { headTimeoutMs: 1, bodyTimeoutMs: 1, keepAliveTimeoutMs: 1 }
      const server = await started(echo, short)
      const [head, body, idle] = await Promise.all([
        client(server).send('GET / HTTP/1.1\r\nHo').all(),
        client(server).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe').all(),
        client(server).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').all(),
      ])
      assert.deepEqual(statuses(head), [408])
      assert.doesNotMatch(body, / 200 /)
      assert.deepEqual(statuses(idle), [200])
    })

    for (const [how, leave] of [
      ['close', (socket: Socket) => socket.destroy()],
      ['reset', (socket: Socket) => socket.resetAndDestroy()],
      ['half close', (socket: Socket) => socket.end()],
    ] as const) {
      test(`that ${how} their connection while they wait end the call`, async () => {
        const gone = Promise.withResolvers<Error>()
        const came = Promise.withResolvers<DirectExchange>()
        const server = await started((exchange) => {
          exchange.onGone = gone.resolve
          came.resolve(exchange)
        })
        const peer = client(server).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        const { signal } = await came.promise
        leave(peer.socket)
        assert.match((await gone.promise).message, /gone/)
        assert.ok(signal.aborted)
        peer.socket.destroy()
      })
      test(`that ${how} their connection in the middle of a body end it with an error`, async () => {
        const failed = Promise.withResolvers<unknown>()
        const server = await started(async (exchange) => {
          await exchange.body?.read()
          await exchange.body?.read().catch(failed.resolve)
        })
        const peer = client(server).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe')
        await once(peer.socket, 'connect')
        while (server.connections === 0) await new Promise((resolve) => setImmediate(resolve))
        setTimeout(() => leave(peer.socket), 20)
        assert.ok((await failed.promise) instanceof Error)
        peer.socket.destroy()
      })
    }
  })

  describe('when it closes', () => {
    test('answers what it has taken, also what it has not read yet, and ends every connection', async () => {
      const held: DirectExchange[] = []
      const server = await started((exchange) => {
        if (exchange.pathWithQuery === '/held') held.push(exchange)
        else return echo(exchange)
      })
      const [waiting, idle, late] = [client(server), client(server), client(server)]
      waiting.send('GET /held HTTP/1.1\r\nHost: a\r\n\r\n')
      idle.send('GET /idle HTTP/1.1\r\nHost: a\r\n\r\n')
      await idle.has('<GET /idle >')
      await waiting.until(() => held.length === 1 || server.connections === 0, 'never taken').catch(() => {})
      while (held.length === 0 || server.connections < 3) await new Promise((resolve) => setImmediate(resolve))
      const closed = server.close()
      late.send('GET /late HTTP/1.1\r\nHost: a\r\n\r\n')
      assert.match(await late.all(), /Connection: close[\s\S]*<GET \/late >$/)
      assert.deepEqual(statuses(await idle.all()), [200])
      held[0]!.respond(200, []).end()
      assert.match(await waiting.all(), /Connection: close/)
      await closed
      const refused = client(server)
      await refused.all()
    })
  })
})
