import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'nats'
import type { HeraldProcess } from '../cli/herald-process.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { scanForTokens } from '../support/scan-for-tokens.ts'
import { startLatticeHouse } from './lattice-house.ts'

// A host that grants (the development authority), one that refuses (no SPIRE), and a stranger on the lattice.
const house = await startLatticeHouse()
const stranger = await connect({ servers: house.nats.url })
after(async () => {
  await stranger.close()
  await house[Symbol.asyncDispose]()
})
const workload = (name: string, { audience = 'sts.amazonaws.com', hostgroup = 'default' } = {}): string => {
  const file = join(house.directory, `${name}.yaml`)
  writeFileSync(
    file,
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  replicas: 1
  template:
    spec:
      hostSelector: {hostgroup: ${hostgroup}}
      components: [{name: ${name}, image: "${house.image('whoami-c')}"}]
      hostInterfaces:
        - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${name}.example}}
        - {namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: ${audience}}}
`,
  )
  return file
}
type Event = { event: string; host: string; [key: string]: unknown }
const eventsOf = ({ stdout }: { stdout: string }): Event[] =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
const kindsOf = (run: { stdout: string }): string[] => eventsOf(run).map(({ event }) => event)

const up = house.start(
  ...['up', '--nats', house.nats.url, '--friendly-name', 'granting', '--http', '0', '--issuer-port', '0'],
  ...['--output', 'json'],
)
after(() => up[Symbol.asyncDispose]())
await up.event('ready')
await until('the host is on the lattice', () => up.stderr.includes('control.started'), 30_000)
await house.json('deploy', '-f', workload('who'))

const follow = async (...args: string[]): Promise<HeraldProcess> => {
  const audit = house.start('audit', '-f', ...args)
  await until('it follows', () => /following|no audit event/.test(audit.stderr) || args.includes('json'), 30_000)
  return audit
}

test('a grant is told to those who follow, remembered for those who ask later, and holds no token', async () => {
  await using audit = await follow()
  const called = await house.run('call', 'team/who')
  assert.match(called.stdout, /spiffe:\/\/development\.local\/default\/who/)
  await until('the grant came', () => audit.stdout.includes('identity.granted'), 30_000)
  assert.match(audit.stdout, /^TIME +HOST +EVENT +COMPONENT +ABOUT +DETAILS\n/)
  assert.match(
    audit.stdout,
    /granting +identity\.granted +team\/who\S* +sts\.amazonaws\.com +spiffe:\/\/development\.local\/default\/who expires in \d+s token [0-9a-f]{16}\n/,
  )
  audit.interrupt()
  const { exitCode, stdout, stderr } = await audit.exited
  assert.equal(exitCode, 0, stderr)
  assert.doesNotMatch(stdout, /\u001b/, 'no colour where there is no terminal')

  const later = await house.run('audit', '--output', 'json')
  const [granted, ...others] = eventsOf(later).filter(({ event }) => event === 'audit.identity.granted')
  assert.deepEqual(others, [])
  assert.equal(granted?.host, 'granting')
  assert.equal(granted?.spiffeId, 'spiffe://development.local/default/who')
  assert.equal(granted?.audience, 'sts.amazonaws.com')
  assert.equal(granted?.version, 1)
  assert.deepEqual(scanForTokens(later.stdout + stdout), [])
})

test('events are found by workload, kind, audience, host and age', async () => {
  const granted = ['audit.identity.granted']
  const found = async (...args: string[]): Promise<string[]> => {
    const run = await house.run('audit', ...args, '--output', 'json')
    assert.equal(run.exitCode, 0, run.stderr)
    return kindsOf(run)
  }
  const [all, none] = await Promise.all([
    found('team/who', '--kind', 'identity.granted', '--host', 'granting', '--since', '1h'),
    found('team/who', '--kind', 'evicted', '--kind', 'granted', '--audience', 'other'),
  ])
  assert.deepEqual([all, none], [granted, []])
  const wrong = await Promise.all([house.run('audit', '--host', 'nobody'), house.run('audit', '--since', 'yesterday')])
  assert.deepEqual(
    wrong.map(({ exitCode }) => exitCode),
    [2, 2],
  )
})

test('what a stranger publishes is refused unless it is exactly an event, and moves no cursor', async () => {
  await using audit = await follow()
  const event = {
    ...{ version: 1, run: '0011223344556677', sequence: 1, at: new Date().toISOString(), hostId: 'stranger' },
    ...{ event: 'audit.identity.granted', audience: 'a\u001b[31mb\nfake  row' },
  }
  const subject = 'herald.audit.stranger.identity.granted'
  for (const hostile of [
    ...['not JSON', '[]', '{"version":1}', 'x'.repeat(500_000), JSON.stringify({ ...event, token: 'x' })],
    JSON.stringify({ ...event, hostId: 'granting' }),
  ])
    stranger.publish(subject, hostile)
  stranger.publish('herald.audit.a.b', JSON.stringify(event))
  stranger.publish(subject, JSON.stringify(event))
  stranger.publish(subject, JSON.stringify({ ...event, sequence: 5 }))
  await stranger.flush()
  await until('the events came', () => audit.stdout.split('\n').length > 3, 30_000)
  assert.deepEqual(
    audit.stdout
      .split('\n')
      .slice(1, -1)
      .map((line) => line.replace(/^\S+ +/, '').replace(/ +/g, ' ')),
    ['stranger identity.granted ab fake row', 'stranger identity.granted ab fake row'],
  )
  assert.match(audit.stderr, /is no audit event: /)
  assert.match(audit.stderr, /stranger: 3 events did not arrive here/)
  audit.interrupt()
  assert.equal((await audit.exited).exitCode, 0)
})

test('a host with --no-audit-nats publishes nothing, and still says what it remembers', async () => {
  const subjects: string[] = []
  stranger.subscribe('herald.audit.>', { callback: (_, { subject }) => void subjects.push(subject) })
  await stranger.flush()
  const quiet = await house.host('quiet', '--no-audit-nats', '--hostgroup', 'quiet')
  await house.json('deploy', '-f', workload('quietly', { audience: 'other', hostgroup: 'quiet' }))
  await house.run('call', 'team/quietly')
  await until('it was refused', () => quiet.herald.stderr.includes('audit.identity.refused'), 30_000)
  const remembered = await house.run('audit', '--host', 'quiet', '--kind', 'refused', '--output', 'json')
  assert.deepEqual(kindsOf(remembered), ['audit.identity.refused'])
  await stranger.flush()
  assert.deepEqual(
    subjects.filter((subject) => subject.startsWith(`herald.audit.${quiet.id}.`)),
    [],
  )
})

test('what workloads have done is told in numbers, and an unknown question is refused', async () => {
  const ask = async (request: string, body: unknown) =>
    (
      await stranger.request(`herald.host.${idOf('granting')}.${request}`, JSON.stringify(body), { timeout: 10_000 })
    ).json<Record<string, unknown>>()
  const hosts = (await house.json('get', 'hosts')).hosts as { id: string; friendlyName: string }[]
  const idOf = (name: string): string => hosts.find(({ friendlyName }) => friendlyName === name)?.id ?? ''
  const { workloads } = (await ask('activity', {})) as { workloads: Record<string, unknown>[] }
  assert.equal(workloads[0]?.requests, '1')
  assert.deepEqual(
    ((workloads[0]?.edges ?? []) as Record<string, unknown>[]).map(({ target, kind, count, spiffeId }) => ({
      target,
      kind,
      count,
      spiffeId,
    })),
    [
      {
        target: 'sts.amazonaws.com',
        kind: undefined,
        count: '1',
        spiffeId: 'spiffe://development.local/default/who',
      },
    ],
  )
  for (const [request, body] of [
    ['activity', { all: true }],
    ['audit', { since: 'yesterday' }],
  ] as const)
    assert.match(JSON.stringify(await ask(request, body)), /ERR_CONTROL_MESSAGE_INVALID/)
})
