import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert'
import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { createWasi, type WasiDependencies } from '../../src/wasi/create-wasi.ts'
import type { InputStream } from '../../src/wasi/io/input-stream.ts'
import type { Pollable } from '../../src/wasi/io/pollable.ts'
import type { Network } from '../../src/wasi/sockets/network.ts'
import type { ResolveAddressStream } from '../../src/wasi/sockets/resolve-address-stream.ts'
import type { IpAddress, IpAddressFamily, IpSocketAddress } from '../../src/wasi/sockets/socket-address.ts'
import type { TcpSocket } from '../../src/wasi/sockets/tcp-socket.ts'
import type { UdpSocket } from '../../src/wasi/sockets/udp-socket.ts'
import type { WasiOptions } from '../../src/wasi/wasi.ts'
import { wasiOptions } from './guest.ts'

// componentize-js cannot bind `network`, a resource without functions, so these call the imports as jco's glue does.
class Sockets implements Disposable {
  readonly refusals: string[] = []
  readonly network: Network
  readonly createTcp: (family: IpAddressFamily) => TcpSocket
  readonly createUdp: (family: IpAddressFamily) => UdpSocket
  readonly #resolve: (network: Network, name: string) => ResolveAddressStream
  readonly #dispose: () => void

  constructor(options: Partial<WasiOptions> = {}, dependencies: WasiDependencies = {}) {
    const wasi = createWasi(wasiOptions(options), {
      onRefusal: ({ target, reason }) => this.refusals.push(`${target}: ${reason}`),
      ...dependencies,
    })
    const instance = wasi.instance({ signal: new AbortController().signal })
    const imports = instance.imports as {
      'wasi:sockets/instance-network': { instanceNetwork(): Network }
      'wasi:sockets/tcp-create-socket': { createTcpSocket(family: IpAddressFamily): TcpSocket }
      'wasi:sockets/udp-create-socket': { createUdpSocket(family: IpAddressFamily): UdpSocket }
      'wasi:sockets/ip-name-lookup': { resolveAddresses(network: Network, name: string): ResolveAddressStream }
    }
    this.network = imports['wasi:sockets/instance-network'].instanceNetwork()
    this.createTcp = imports['wasi:sockets/tcp-create-socket'].createTcpSocket
    this.createUdp = imports['wasi:sockets/udp-create-socket'].createUdpSocket
    this.#resolve = imports['wasi:sockets/ip-name-lookup'].resolveAddresses
    this.#dispose = () => instance[Symbol.dispose]()
  }

  async resolve(name: string): Promise<IpAddress[]> {
    const stream = this.#resolve(this.network, name)
    await block(stream.subscribe())
    const found: IpAddress[] = []
    for (let next = stream.resolveNextAddress(); next !== undefined; next = stream.resolveNextAddress())
      found.push(next)
    return found
  }

  [Symbol.dispose](): void {
    this.#dispose()
  }
}

const loopback = (port: number): IpSocketAddress => ({ tag: 'ipv4', val: { port, address: [127, 0, 0, 1] } })
const at = (address: readonly [number, number, number, number], port: number): IpSocketAddress => ({
  tag: 'ipv4',
  val: { port, address },
})
const any = at([0, 0, 0, 0], 0)

async function block(pollable: Pollable): Promise<void> {
  await pollable.block()
}

async function readAll(stream: InputStream): Promise<string> {
  let text = ''
  for (;;) {
    try {
      text += Buffer.from(await stream.blockingRead(1_000n)).toString()
    } catch (error) {
      deepStrictEqual(error, { tag: 'closed' })
      return text
    }
  }
}

test('without permission no name is looked up and no address reached', async () => {
  using sockets = new Sockets()
  throws(
    () => void sockets.createTcp('ipv4').startConnect(sockets.network, loopback(80)),
    (error) => error === 'access-denied',
  )
  throws(
    () => void sockets.createTcp('ipv4').startConnect(sockets.network, at([192, 0, 2, 1], 80)),
    (error) => error === 'access-denied',
  )
  const udp = sockets.createUdp('ipv4')
  udp.startBind(sockets.network, any)
  await block(udp.subscribe())
  udp.finishBind()
  throws(
    () => udp.stream(loopback(53)),
    (error) => error === 'access-denied',
  )
  const [, outgoing] = udp.stream(undefined)
  outgoing.checkSend()
  throws(
    () => outgoing.send([{ data: new Uint8Array(1), remoteAddress: at([192, 0, 2, 1], 53) }]),
    (error) => error === 'access-denied',
  )
  await sockets.resolve('db.example.test').then(
    () => ok(false),
    (error) => strictEqual(error, 'access-denied'),
  )
  strictEqual(sockets.refusals.length, 5)
})

test('listening and binding to a chosen address or port are refused', () => {
  using sockets = new Sockets({ allowedHostLoopbackPorts: ['1-65535'] })
  const { network } = sockets
  for (const create of [sockets.createTcp, sockets.createUdp]) {
    throws(
      () => create('ipv4').startBind(network, loopback(0)),
      (error) => error === 'access-denied',
    )
    throws(
      () => create('ipv4').startBind(network, at([0, 0, 0, 0], 8080)),
      (error) => error === 'access-denied',
    )
    throws(
      () => create('ipv6').startBind(network, any),
      (error) => error === 'invalid-argument',
    )
  }
  const socket = sockets.createTcp('ipv4')
  socket.startBind(network, any)
  socket.finishBind()
  throws(
    () => socket.startListen(),
    (error) => error === 'access-denied',
  )
})

for (const [allowed, name, expected] of [
  ['db.example.test', 'DB.example.test', true],
  ['db.example.test', 'db.example.test.', true],
  ['*.example.test', 'a.b.example.test', true],
  ['*.example.test', 'example.test', false],
  ['*.example.test', 'badexample.test', false],
  ['db.example.test', 'xdb.example.test', false],
  ['*', 'whatever.test', true],
] as const) {
  test(`allowedIpNameLookups ${allowed} ${expected ? 'allows' : 'denies'} ${name}`, async () => {
    using sockets = new Sockets(
      { allowedIpNameLookups: [allowed] },
      { resolve: async () => [{ address: '192.0.2.7', family: 4 }] },
    )
    const found = await sockets.resolve(name).catch((error: unknown) => error)
    deepStrictEqual(found, expected ? [{ tag: 'ipv4', val: [192, 0, 2, 7] }] : 'access-denied')
  })
}

test('an address may be connected to once an allowed name has resolved to it, by the same instance', async () => {
  using sockets = new Sockets(
    { allowedIpNameLookups: ['db.example.test'] },
    { resolve: async () => [{ address: '192.0.2.7', family: 4 }] },
  )
  throws(
    () => sockets.createTcp('ipv4').startConnect(sockets.network, at([192, 0, 2, 7], 5432)),
    (error) => error === 'access-denied',
  )
  await sockets.resolve('db.example.test')
  // Asks the policy and does not connect: tests send nothing off this machine.
  sockets.network.policy.checkRemote(at([192, 0, 2, 7], 5432), sockets.network.granted)
  throws(
    () => sockets.createTcp('ipv4').startConnect(sockets.network, at([192, 0, 2, 8], 5432)),
    (error) => error === 'access-denied',
  )
})

test('metadata and denied addresses are left out of an answer and grant nothing', async () => {
  using sockets = new Sockets(
    { allowedIpNameLookups: ['*'], deniedAddresses: ['10.0.0.0/8'] },
    {
      resolve: async () =>
        ['169.254.169.254', '10.1.1.1', '192.0.2.1', '::ffff:169.254.169.254', 'fd00:ec2::254'].map((address) => ({
          address,
          family: address.includes(':') ? 6 : 4,
        })),
    },
  )
  deepStrictEqual(await sockets.resolve('mixed.example.test'), [{ tag: 'ipv4', val: [192, 0, 2, 1] }])
  for (const address of [
    [169, 254, 169, 254],
    [10, 1, 1, 1],
  ] as const) {
    throws(
      () => sockets.createTcp('ipv4').startConnect(sockets.network, at([...address], 80)),
      (error) => error === 'access-denied',
    )
  }
})

for (const [code, expected] of [
  ['ENOTFOUND', 'name-unresolvable'],
  ['EAI_AGAIN', 'temporary-resolver-failure'],
] as const) {
  test(`a lookup that fails with ${code} is ${expected}`, async () => {
    using sockets = new Sockets(
      { allowedIpNameLookups: ['*'] },
      { resolve: () => Promise.reject(Object.assign(new Error('x'), { code })) },
    )
    strictEqual(await sockets.resolve('gone.example.test').catch((error: unknown) => error), expected)
  })
}

test('a connection to an allowed loopback port carries bytes both ways and half-closes', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    socket.on('end', () => socket.end(`got ${received.length}`))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  {
    using sockets = new Sockets({ allowedHostLoopbackPorts: [String(port)] })
    const socket = sockets.createTcp('ipv4')
    throws(
      () => socket.finishConnect(),
      (error) => error === 'not-in-progress',
    )
    socket.startConnect(sockets.network, loopback(port))
    throws(
      () => socket.finishConnect(),
      (error) => error === 'would-block',
    )
    await block(socket.subscribe())
    const [input, output] = socket.finishConnect()
    deepStrictEqual(socket.remoteAddress(), loopback(port))
    strictEqual(socket.localAddress().tag, 'ipv4')
    const sent = Buffer.alloc(500_000, 'x')
    await output.blockingWriteAndFlush(sent)
    socket.shutdown('send')
    throws(
      () => output.checkWrite(),
      (error) => (error as { tag: string }).tag === 'closed',
    )
    strictEqual(await readAll(input), 'got 500000')
    throws(
      () => sockets.createTcp('ipv4').startConnect(sockets.network, loopback(port === 1 ? 2 : 1)),
      (error) => error === 'access-denied',
    )
  }
  await new Promise((resolve) => server.close(resolve))
})

test('a refused connection says so', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  using sockets = new Sockets({ allowedHostLoopbackPorts: [String(port)] })
  const socket = sockets.createTcp('ipv4')
  socket.startConnect(sockets.network, loopback(port))
  await block(socket.subscribe())
  throws(
    () => socket.finishConnect(),
    (error) => error === 'connection-refused',
  )
})

test('the end of the instance closes its connections and ends its waits', async () => {
  let closed: () => void = () => {}
  const gone = new Promise<void>((resolve) => {
    closed = resolve
  })
  const server = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('close', closed)
      .resume(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const sockets = new Sockets({ allowedHostLoopbackPorts: [String(port)] })
  const socket = sockets.createTcp('ipv4')
  socket.startConnect(sockets.network, loopback(port))
  await block(socket.subscribe())
  const [input] = socket.finishConnect()
  const waiting = Promise.resolve(input.blockingRead(1n)).catch(String)
  sockets[Symbol.dispose]()
  strictEqual(await waiting, 'Error: the instance was discarded')
  await gone
  await new Promise((resolve) => server.close(resolve))
})

test('datagrams go to and come from allowed peers only', async () => {
  const peer = createSocket('udp4')
  const stranger = createSocket('udp4')
  await Promise.all(
    [peer, stranger].map((socket) => new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))),
  )
  peer.on('message', (data, from) => {
    stranger.send('from a stranger', from.port, '127.0.0.1', () => peer.send(`echo ${data}`, from.port, '127.0.0.1'))
  })
  {
    using sockets = new Sockets({ allowedHostLoopbackPorts: [String(peer.address().port)] })
    const socket = sockets.createUdp('ipv4')
    socket.startBind(sockets.network, any)
    await block(socket.subscribe())
    socket.finishBind()
    ok(socket.localAddress().val.port > 0)
    const [incoming, outgoing] = socket.stream(undefined)
    ok(outgoing.checkSend() > 0n)
    strictEqual(outgoing.send([{ data: Buffer.from('hi'), remoteAddress: loopback(peer.address().port) }]), 1n)
    await block(incoming.subscribe())
    const received = incoming.receive(10n)
    deepStrictEqual(
      received.map(({ data, remoteAddress }) => [Buffer.from(data).toString(), remoteAddress]),
      [['echo hi', loopback(peer.address().port)]],
    )
    outgoing.checkSend()
    throws(
      () => outgoing.send([{ data: Buffer.from('no'), remoteAddress: loopback(stranger.address().port) }]),
      (error) => error === 'access-denied',
    )
  }
  await Promise.all([peer, stranger].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))))
})

for (const entry of ['a b', 'https://x', '*x.test', '', 'a*']) {
  test(`allowedIpNameLookups refuses the entry ${JSON.stringify(entry)}`, () => {
    throws(
      () => new Sockets({ allowedIpNameLookups: [entry] }),
      (error) => error instanceof HeraldError && error.code === 'ERR_NETWORK_POLICY_INVALID',
    )
  })
}
