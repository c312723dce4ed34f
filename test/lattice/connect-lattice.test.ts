import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import type { Subject } from '../../src/lattice/subjects.ts'
import { freePort } from '../support/free-port.ts'
import { collectLogs } from '../support/log.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { testLattice, until, within } from './lattice-test-setup.ts'

const subject = 'test.echo' as Subject
const bytes = (text: string) => Buffer.from(text)

test('a request is answered, and one that nobody listens to is said so at once', async () => {
  await using nats = await startNats()
  await using server = testLattice(nats.url)
  await using client = testLattice(nats.url)
  server.subscribe(subject, { handle: (message) => message.reply(message.payload) })
  await server.flush(within(5_000))
  assert.equal(Buffer.from(await client.request(subject, bytes('hello'), { timeoutMs: 2_000 })).toString(), 'hello')
  await assert.rejects(client.request('test.nobody' as Subject, bytes(''), { timeoutMs: 2_000 }), (error) =>
    isHeraldError(error, 'ERR_LATTICE_NO_RESPONDERS'),
  )
})

test('requests at once get each their own answer; one given up or too late leaves the others alone', async () => {
  await using nats = await startNats()
  await using server = testLattice(nats.url)
  await using client = testLattice(nats.url)
  const held: (() => void)[] = []
  server.subscribe(subject, {
    handle: (message) => {
      const answer = () => message.reply(message.payload)
      if (message.payload.length === 0) held.push(answer)
      else answer()
    },
  })
  await server.flush(within(5_000))
  await client.connected(within(5_000))
  const controller = new AbortController()
  const late = client.request(subject, bytes(''), { timeoutMs: 60 }).catch((error: unknown) => error)
  const given = client
    .request(subject, bytes(''), { timeoutMs: 20_000, signal: controller.signal })
    .catch((error: unknown) => error)
  const slow = client.request(subject, bytes(''), { timeoutMs: 20_000 })
  const many = Array.from({ length: 300 }, (_, index) =>
    client.request(subject, bytes(`m${index}`), { timeoutMs: 20_000, signal: controller.signal }),
  )
  const answers = await Promise.all(many)
  assert.deepEqual(
    answers.map((answer) => Buffer.from(answer).toString()),
    answers.map((_, index) => `m${index}`),
  )
  await until('all are held', () => held.length === 3)
  assert.ok(isHeraldError(await late, 'ERR_LATTICE_TIMEOUT'))
  const reason = new Error('given up')
  controller.abort(reason)
  assert.equal(await given, reason)
  for (const answer of held) answer()
  assert.equal((await slow).length, 0)
})

test('it starts while NATS is down and connects once NATS is there; subscriptions made before work', async () => {
  await using nats = await startNats()
  await nats.stop()
  await using lattice = testLattice(nats.url)
  lattice.subscribe(subject, { handle: (message) => message.reply(bytes('late')) })
  await until(
    'a first try has failed',
    () => lattice.state.kind === 'connecting' && lattice.state.lastError !== undefined,
  )
  await assert.rejects(
    lattice.connected(within(50)),
    (error) => isHeraldError(error, 'ERR_LATTICE_UNREACHABLE') && /ECONNREFUSED/.test(error.message),
  )
  await nats.restart()
  await lattice.flush(within(10_000))
  await using client = testLattice(nats.url)
  assert.equal(Buffer.from(await client.request(subject, bytes(''), { timeoutMs: 10_000 })).toString(), 'late')
})

test('killed and back: subscriptions go on, what was published meanwhile arrives, within bounds', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url)
  const received: string[] = []
  lattice.subscribe(subject, { handle: ({ payload }) => void received.push(Buffer.from(payload).toString()) })
  await lattice.flush(within(5_000))
  await nats.kill()
  await until('the loss is noticed', () => lattice.state.kind === 'reconnecting')
  lattice.publish(subject, bytes('kept'))
  lattice.publish('test.large' as Subject, Buffer.alloc(1_000_000))
  assert.throws(
    () => lattice.publish(subject, Buffer.alloc(200_000)),
    (error) => isHeraldError(error, 'ERR_LATTICE_UNREACHABLE'),
  )
  await nats.restart()
  await lattice.connected(within(10_000))
  lattice.publish(subject, bytes('new'))
  await until('the new message is there', () => received.includes('new'))
  assert.deepEqual(received, ['kept', 'new'])
})

test('a request waits for a connection that is on its way back, within its time', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url)
  await lattice.connected(within(5_000))
  await nats.kill()
  await until('the loss is noticed', () => lattice.state.kind !== 'connected')
  await assert.rejects(lattice.request(subject, bytes(''), { timeoutMs: 100 }), (error) =>
    isHeraldError(error, 'ERR_LATTICE_UNREACHABLE'),
  )
  await assert.rejects(lattice.request(subject, bytes(''), { timeoutMs: 5_000, signal: AbortSignal.timeout(50) }), {
    name: 'TimeoutError',
  })
  // Listened to before it can fail: the restart ends later than the request does.
  const refused = assert.rejects(lattice.request(subject, bytes(''), { timeoutMs: 30_000 }), (error) =>
    isHeraldError(error, 'ERR_LATTICE_NO_RESPONDERS'),
  )
  await nats.restart()
  await refused
})

test('disposal lets handlers finish and their answers out, and takes no new messages', async () => {
  await using nats = await startNats()
  const lattice = testLattice(nats.url)
  await using client = testLattice(nats.url)
  lattice.subscribe(subject, {
    handle: async (message) => {
      await new Promise((resolve) => setTimeout(resolve, 200))
      message.reply(bytes('done'))
    },
  })
  await lattice.flush(within(10_000))
  // Connected from here on, so that the request is sent before what is flushed next.
  await client.flush(within(10_000))
  const answer = client.request(subject, bytes(''), { timeoutMs: 10_000 })
  await client.flush(within(5_000))
  await lattice[Symbol.asyncDispose]()
  assert.equal(Buffer.from(await answer).toString(), 'done')
  assert.equal(lattice.state.kind, 'closed')
  assert.throws(
    () => lattice.publish(subject, bytes('')),
    (error) => isHeraldError(error, 'ERR_LATTICE_CLOSED'),
  )
  await lattice[Symbol.asyncDispose]()
})

test('a handler that throws costs one answer, not the subscription', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url)
  lattice.subscribe(subject, {
    handle: (message) => {
      if (message.payload.length === 0) throw new Error('a defect')
      message.reply(message.payload)
    },
  })
  await lattice.flush(within(5_000))
  lattice.publish(subject, bytes(''))
  assert.equal(
    Buffer.from(await lattice.request(subject, bytes('still here'), { timeoutMs: 2_000 })).toString(),
    'still here',
  )
  assert.ok(lattice.events().some(({ event }) => event === 'lattice.handler-failed'))
})

test('beyond the limit messages are refused at once, so that nothing queues in memory', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url)
  const release = Promise.withResolvers<void>()
  let handled = 0
  let refused = 0
  const subscription = lattice.subscribe(subject, {
    maxInFlight: 10,
    onOverload: () => void refused++,
    handle: async () => {
      handled++
      await release.promise
    },
  })
  await lattice.flush(within(5_000))
  for (let count = 0; count < 100; count++) lattice.publish(subject, bytes('x'))
  await until('all were seen', () => handled + refused === 100)
  assert.deepEqual([handled, refused, subscription.inFlight], [10, 90, 10])
  release.resolve()
})

test('an answer goes to inboxes only, whatever reply subject the asker names', async () => {
  await using nats = await startNats()
  await using lattice = testLattice(nats.url)
  const stolen: string[] = []
  lattice.subscribe('test.victim' as Subject, {
    handle: ({ payload }) => void stolen.push(Buffer.from(payload).toString()),
  })
  lattice.subscribe(subject, { handle: (message) => message.reply(bytes('answer')) })
  await lattice.flush(within(5_000))
  const { connect } = await import('nats')
  const attacker = await connect({ servers: nats.url })
  attacker.publish(subject, bytes(''), { reply: 'test.victim' })
  await attacker.flush()
  await until('it was refused', () => lattice.events().some(({ event }) => event === 'lattice.reply-refused'))
  await lattice.flush(within(5_000))
  await attacker.close()
  assert.deepEqual(stolen, [])
})

test('a server in lame-duck mode is left for another one of the cluster, without losing the subscription', async () => {
  await using first = await startNats({
    cluster: { name: 'c' },
    config: 'lame_duck_duration: "30s", lame_duck_grace_period: "1s"',
  })
  await using second = await startNats({ cluster: { name: 'c', routes: [first.clusterUrl!] } })
  await using lattice = testLattice(first.url, { servers: [first.url, second.url], random: () => 0 })
  await using client = testLattice(second.url)
  lattice.subscribe(subject, { handle: (message) => message.reply(message.payload) })
  await lattice.flush(within(5_000))
  const portOf = (url: string) => url.slice(url.lastIndexOf(':') + 1)
  const startedOn = lattice.state.kind === 'connected' ? portOf(lattice.state.server) : ''
  const leaving = startedOn === portOf(first.url) ? first : second
  const pid = Number(/pid: (\d+)|Process: *(\d+)|\[(\d+)\]/.exec(leaving.logs())?.slice(1).find(Boolean))
  process.kill(pid, 'SIGUSR2')
  await until(
    'it moved',
    () => lattice.state.kind === 'connected' && portOf(lattice.state.server) !== startedOn,
    15_000,
  )
  assert.ok(lattice.events().some(({ event, others }) => event === 'lattice.lame-duck' && Number(others) >= 1))
  // Connected is not yet subscribed.
  await lattice.flush(within(10_000))
  await client.connected(within(10_000))
  assert.equal(Buffer.from(await client.request(subject, bytes('moved'), { timeoutMs: 10_000 })).toString(), 'moved')
})

test('refused credentials are said and tried again; renewed ones in the file work without a restart', async () => {
  await using nats = await startNats({
    config: 'authorization { users = [ { nkey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4" } ] }',
  })
  using directory = temporaryDirectory()
  const path = join(directory.path, 'seed')
  // Seeds from the NATS documentation; the first belongs to nobody here.
  writeFileSync(path, 'SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY')
  await using lattice = testLattice(nats.url, { credentials: { kind: 'nkey-file', path } })
  await until('it was refused', () =>
    lattice
      .events()
      .some(({ event, code }) => event === 'lattice.connect-failed' && code === 'ERR_LATTICE_UNAUTHORIZED'),
  )
  writeFileSync(path, 'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n')
  await lattice.connected(within(10_000))
})

test('a user may be refused a subject: it is said, and the connection stays', async () => {
  await using nats = await startNats({
    config:
      'authorization { users = [ { user: u, password: p, permissions: { subscribe: ["test.>", "_INBOX.>"], publish: { deny: "test.closed" } } } ] }',
  })
  await using lattice = testLattice(nats.url, { credentials: { kind: 'user', user: 'u', password: 'p' } })
  lattice.subscribe('secret.things' as Subject, { handle: () => {} })
  lattice.subscribe(subject, { handle: (message) => message.reply(message.payload) })
  await until('it was said', () =>
    lattice
      .events()
      .some(({ event, subject: refused }) => event === 'lattice.subscription-failed' && refused === 'secret.things'),
  )
  assert.equal((await lattice.request(subject, bytes('x'), { timeoutMs: 2_000 })).length, 1)
  await assert.rejects(lattice.request('test.closed' as Subject, bytes(''), { timeoutMs: 20_000 }), (error) =>
    isHeraldError(error, 'ERR_LATTICE_UNAUTHORIZED'),
  )
})

test('a user whose answers may not reach it is told so, and not that nobody answered in time', async () => {
  await using nats = await startNats({
    config: 'authorization { users = [ { user: u, password: p, permissions: { subscribe: "test.>" } } ] }',
  })
  await using lattice = testLattice(nats.url, { credentials: { kind: 'user', user: 'u', password: 'p' } })
  lattice.subscribe(subject, { handle: (message) => message.reply(message.payload) })
  for (let times = 0; times < 2; times++) {
    await assert.rejects(lattice.request(subject, bytes('x'), { timeoutMs: 20_000 }), (error) =>
      isHeraldError(error, 'ERR_LATTICE_UNAUTHORIZED'),
    )
  }
})

test('a token function is asked at every connect, and no credential is ever logged', async () => {
  await using nats = await startNats({ config: 'authorization { token: "right-token-8c1d" }' })
  let asked = 0
  await using lattice = testLattice(nats.url, {
    credentials: { kind: 'token', token: () => (asked++ < 2 ? 'wrong-token-8c1d' : 'right-token-8c1d') },
  })
  await lattice.connected(within(10_000))
  assert.ok(asked >= 3)
  for (const [name, text] of collectLogs()) {
    if (name.startsWith('lattice')) assert.doesNotMatch(text, /token-8c1d/)
  }
})

for (const [servers, why] of [
  [[], 'nothing'],
  [['nats://user:secret-pw@127.0.0.1:4222'], 'credentials in the address'],
  [['http://127.0.0.1:4222'], 'another scheme'],
  [['nats://127.0.0.1:4222/x'], 'a path'],
  [['nats://'], 'no host'],
] as const) {
  test(`${why} is ERR_LATTICE_CONFIG`, () =>
    assert.throws(
      () => testLattice('', { servers }),
      (error) => isHeraldError(error, 'ERR_LATTICE_CONFIG') && !error.describe().includes('secret-pw'),
    ))
}

test('a process that only waits for NATS does not end, and ends after disposal', async () => {
  const script = `
    import { connectLattice } from ${JSON.stringify(fileURLToPath(new URL('../../src/lattice/connect-lattice.ts', import.meta.url)))}
    import { systemClock } from ${JSON.stringify(fileURLToPath(new URL('../../src/clock/clock.ts', import.meta.url)))}
    import { createLog } from ${JSON.stringify(fileURLToPath(new URL('../../src/observability/log.ts', import.meta.url)))}
    const lattice = connectLattice({ servers: ['nats://127.0.0.1:${await freePort()}'], name: 't', log: createLog({ level: 'silent' }), clock: systemClock })
    const error = await lattice.connected({ signal: AbortSignal.timeout(300) }).catch((error) => error)
    console.log(error.code)
    await lattice[Symbol.asyncDispose]()
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  assert.deepEqual([output.trim(), code], ['ERR_LATTICE_UNREACHABLE', 0])
})
