import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'nats'
import { startNats } from './nats.ts'

test('a message goes through a NATS server, before and after a restart at the same address', async () => {
  await using nats = await startNats()
  for (const when of ['before', 'after']) {
    if (when === 'after') await nats.restart()
    const connection = await connect({ servers: nats.url })
    const subscription = connection.subscribe('greeting', { max: 1 })
    await connection.flush()
    connection.publish('greeting', when)
    for await (const message of subscription) assert.equal(message.string(), when)
    await connection.close()
  }
})

test('a killed NATS server refuses connections', async () => {
  await using nats = await startNats()
  await nats.kill()
  await assert.rejects(connect({ servers: nats.url, reconnect: false }), { code: 'CONNECTION_REFUSED' })
})

test('a JetStream store outlives a restart', async () => {
  await using nats = await startNats({ jetstream: true })
  const first = await connect({ servers: nats.url })
  await (await first.jetstream().views.kv('settings')).put('colour', 'green')
  await first.close()
  await nats.restart()
  const second = await connect({ servers: nats.url })
  assert.equal((await (await second.jetstream().views.kv('settings')).get('colour'))?.string(), 'green')
  await second.close()
})

test('more configuration is taken over: a user with a password', async () => {
  await using nats = await startNats({ config: 'authorization { user: "herald", password: "correct" }' })
  await assert.rejects(connect({ servers: nats.url, reconnect: false }), { code: 'AUTHORIZATION_VIOLATION' })
  const connection = await connect({ servers: nats.url, user: 'herald', pass: 'correct' })
  await connection.close()
})

test('two servers of a cluster pass messages on to each other', async () => {
  await using one = await startNats({ cluster: { name: 'pair' } })
  await using two = await startNats({ cluster: { name: 'pair', routes: [one.clusterUrl ?? ''] } })
  const listener = await connect({ servers: one.url })
  const speaker = await connect({ servers: two.url })
  listener.subscribe('echo', { callback: (_, message) => message.respond(message.data) })
  await listener.flush()
  let answer: string | undefined
  for (let attempt = 0; answer === undefined && attempt < 50; attempt++) {
    answer = await speaker.request('echo', 'hello', { timeout: 200 }).then(
      (message) => message.string(),
      () => undefined,
    )
  }
  assert.equal(answer, 'hello')
  await listener.close()
  await speaker.close()
})

test('a fault in the configuration is an error with what the server says', async () => {
  await assert.rejects(
    startNats({ config: 'no_such_key: 1' }),
    /'nats-server' ended before it was ready[\s\S]*no_such_key/,
  )
})
