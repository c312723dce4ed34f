// Two whole hosts with one id on a real NATS, as two pods with one --host-id would be.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'nats'
import { type HeraldProcess, startHerald } from '../cli/herald-process.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { httpCall } from '../support/http-call.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('of two hosts with one id the later one is not ready and says why, and one answers when the command asks', async () => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const directory = stack.use(temporaryDirectory()).path
  const client = await connect({ servers: nats.url })
  stack.defer(() => client.close())
  const startHost = (): HeraldProcess =>
    startHerald(
      [
        ...['host', '--nats', nats.url, '--host-id', 'the-same', '--http', '127.0.0.1:0', '--health', '127.0.0.1:0'],
        ...['--output', 'json', '--spire-admin-socket', join(directory, 'no.sock')],
      ],
      { cwd: directory },
    )
  const readinessOf = async (host: HeraldProcess) => {
    const { health } = (await host.event('ready')) as { health: string }
    const { status, json } = await httpCall(`${health}/readyz`)
    return { status, reasons: (json() as { reasons: string[] }).reasons }
  }
  const elder = stack.use(startHost())
  await elder.event('ready')
  await until('the first one is on the lattice', () => /control\.started/.test(elder.stderr), 20_000)
  const younger = stack.use(startHost())
  await until('the second one knows', () => /control\.silent/.test(younger.stderr), 20_000)
  assert.match(younger.stderr, /another host has the same id.*give it its own --host-id/)
  assert.deepEqual(await readinessOf(younger), {
    status: 503,
    reasons: ['host-id: another host has the same id and was started before'],
  })
  assert.deepEqual(await readinessOf(elder), { status: 200, reasons: [] })
  assert.doesNotMatch(elder.stderr, /control\.silent/)
  const answers: string[] = []
  for await (const { data } of await client.requestMany('herald.hosts', '', { maxWait: 500 }))
    answers.push((JSON.parse(Buffer.from(data).toString()) as { url: string }).url)
  assert.deepEqual(answers, [((await elder.event('ready')) as { http: string }).http])
})
