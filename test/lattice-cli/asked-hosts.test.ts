import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'nats'
import { heraldRequests } from '../../src/lattice/subjects.ts'
import { startLatticeHouse } from './lattice-house.ts'

// What Herald hosts answer to Herald's own subjects, asked by hand: docs/decisions/asking-hosts.md.
const house = await startLatticeHouse()
const nats = await connect({ servers: house.nats.url })
after(async () => {
  await nats.close()
  await house[Symbol.asyncDispose]()
})
const [a, b] = await Promise.all([house.host('asked-a'), house.host('asked-b')])
const secret = 'not-for-the-command'
await house.json('deploy', '-f', house.manifest('held', { environment: `KEY: ${secret}` }))

const ask = async (subject: string, body: unknown): Promise<Record<string, unknown>> => {
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  return JSON.parse((await nats.request(subject, payload, { timeout: 5_000 })).string())
}
const refusal = (answer: Record<string, unknown>): string =>
  String((answer.workloadStatus as { message?: string } | undefined)?.message)

for (const [what, request, body, expected] of [
  ['no JSON', 'workloads', '{', /ERR_CONTROL_MESSAGE_INVALID: the message is not JSON/],
  ['an unknown field', 'workloads', { all: true }, /all: unknown field/],
  ['more bytes than any request has', 'workloads', 'x'.repeat(70_000), /larger than any of these/],
  [
    'the copy of what is not there',
    'workload.copy',
    { workloadId: 'x', toHostId: 'y', newWorkloadId: 'z' },
    /ERR_WORKLOAD_NOT_FOUND/,
  ],
  ['a reader anybody could guess', 'logs', { reader: 'me', leaseMs: 1_000 }, /reader: must be a random token/],
  [
    'a reader that is a wildcard',
    'logs',
    { reader: `>.${'x'.repeat(30)}`, leaseMs: 1_000 },
    /ERR_LATTICE_SUBJECT_INVALID/,
  ],
] as const) {
  test(`${what} is refused with its reason, and the host goes on`, async () => {
    assert.match(refusal(await ask(`herald.host.${a.id}.${request}`, body)), expected)
    assert.equal((await house.json('get', 'hosts')).hosts.length, 2)
  })
}

const malformed: readonly [string, string | Uint8Array][] = [
  ['nothing', ''],
  ['half a message', '{'],
  ['null', 'null'],
  ['a list', '[]'],
  ['an unknown field', '{"x":1}'],
  ['bytes that are no UTF-8', new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])],
  ['deep nesting', '['.repeat(30_000)],
  ['almost as many bytes as NATS takes', '{"x":"'.padEnd(1_000_000, 'x')],
]
test('whatever is malformed, on every subject of Herald’s own, is answered with the reason, and the host goes on', async () => {
  for (const [what, body] of malformed) {
    const payload = Buffer.from(body as string)
    for (const request of heraldRequests) {
      const { data } = await nats.request(`herald.host.${a.id}.${request}`, payload, { timeout: 10_000 })
      assert.match(
        refusal(JSON.parse(Buffer.from(data).toString('utf8'))),
        /^ERR_CONTROL_MESSAGE_INVALID/,
        `${request}: ${what}`,
      )
    }
    for (const subject of ['herald.hosts', `herald.host.${a.id}.nothing`, `herald.host.${a.id}.workloads.x`])
      nats.publish(subject, payload)
  }
  await nats.flush()
  assert.equal((await house.json('get', 'hosts')).hosts.length, 2)
})

test('a subject as the other host of a copy is no way to another subject', async () => {
  const { workloads } = (await ask(`herald.host.${a.id}.workloads`, {})) as { workloads?: { workloadId: string }[] }
  const other = (await ask(`herald.host.${b.id}.workloads`, {})) as { workloads?: { workloadId: string }[] }
  const [host, id] = workloads?.[0] ? [a, workloads[0].workloadId] : [b, other.workloads?.[0]?.workloadId]
  for (const toHostId of ['*', 'x.workload.start', '>', '']) {
    const answer = await ask(`herald.host.${host.id}.workload.copy`, { workloadId: id, toHostId, newWorkloadId: 'n' })
    assert.match(refusal(answer), /ERR_LATTICE_SUBJECT_INVALID/)
  }
})

test('no list, description or log tells what a workload was started with', async () => {
  const seen = [
    await house.run('get', 'workloads', '-o', 'json'),
    await house.run('get', 'components', '-o', 'wide'),
    await house.run('describe', 'workload', 'held', '-o', 'yaml'),
    await house.run('describe', 'host', 'asked-a', '-o', 'json'),
    await house.run('scale', 'held', '--replicas', '2', '-o', 'json'),
  ]
  for (const { exitCode, stdout, stderr } of seen) {
    assert.equal(exitCode, 0, stderr)
    assert.ok(!(stdout + stderr).includes(secret))
  }
  for (const { herald } of [a, b]) assert.ok(!(herald.stdout + herald.stderr).includes(secret))
})

test('nobody reads the lines of a host any more once a reader has gone', async () => {
  const reader = crypto.randomUUID()
  const lines: string[] = []
  nats.subscribe(`herald.logs.${reader}`, { callback: (_, message) => void lines.push(message.string()) })
  const read = async () => {
    for (const { id } of [a, b]) await ask(`herald.host.${id}.logs`, { reader, leaseMs: 1_500 })
  }
  await read()
  const renewal = setInterval(() => void read().catch(() => {}), 500)
  await house.json('deploy', '-f', house.manifest('first'))
  while (!lines.some((line) => line.includes('first'))) await sleep(50)
  clearInterval(renewal)
  // The last renewal may be on its way; a lease of 1.5 s has ended by then.
  await sleep(4_000)
  const during = lines.length
  await house.json('deploy', '-f', house.manifest('second'))
  assert.ok(!lines.slice(during).some((line) => line.includes('second')))
})
