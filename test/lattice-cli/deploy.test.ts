import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'nats'
import { buildComponents } from '../../scripts/build-components.ts'
import { signal, testClient } from '../oci/oci-test-setup.ts'
import { startPrivateRegistry } from '../oci/registry-with-auth.ts'
import { httpCall } from '../support/http-call.ts'
import { type LatticeHost, startLatticeHouse } from './lattice-house.ts'

// Three real hosts on one real NATS, driven by the command alone, without an operator.
const house = await startLatticeHouse()
after(() => house[Symbol.asyncDispose]())
const [a, b, c] = await Promise.all([
  house.host('host-a', '--label', 'zone=z1'),
  house.host('host-b', '--label', 'zone=z2', '--environment', 'team'),
  house.host('host-c', '--label', 'zone=z1'),
])

type Replica = { host: string; workloadId: string; state: string }
const hostsOf = ({ deployed }: { deployed: { replicas: Replica[] }[] }): string[] =>
  deployed.flatMap(({ replicas }) => replicas.map(({ host }) => host)).sort()
const answers = async (host: LatticeHost, name: string): Promise<number> =>
  (await httpCall(host.url, { host: `${name}.example` })).status

test('herald get hosts lists all three, by what they say of themselves', async () => {
  const { hosts } = await house.json('get', 'hosts')
  assert.deepEqual(
    hosts.map(({ friendlyName, id, state, labels, environment, url }: Record<string, unknown>) => ({
      ...{ friendlyName, id, state, labels, environment, url },
    })),
    [a, b, c].map(({ name, id, url }) => ({
      friendlyName: name,
      id,
      state: 'ready',
      labels: { hostgroup: 'default', zone: name === 'host-b' ? 'z2' : 'z1' },
      environment: name === 'host-b' ? 'team' : '',
      url,
    })),
  )
})

test('three replicas are spread over three hosts, and all serve', async () => {
  const file = house.manifest('spread', { replicas: 3 })
  const first = await house.json('deploy', '-f', file)
  assert.deepEqual(hostsOf(first), ['host-a', 'host-b', 'host-c'])
  assert.equal(first.deployed[0].action, 'created')
  for (const host of [a, b, c]) assert.equal(await answers(host, 'spread'), 200)
  const { workloads } = await house.json('get', 'workloads', 'spread')
  assert.deepEqual(
    workloads.map(({ state, origin, namespace }: Record<string, string>) => [namespace, state, origin]),
    Array.from({ length: 3 }, () => ['default', 'running', 'deploy']),
  )
})

test('deployed again it is left as it is; with another spec it is replaced, and no request fails meanwhile', async () => {
  const again = await house.json('deploy', '-f', house.manifest('spread', { replicas: 3 }))
  assert.equal(again.deployed[0].action, 'unchanged')
  let asking = true
  const statuses = (async () => {
    const seen: number[] = []
    while (asking) for (const host of [a, b, c]) seen.push(await answers(host, 'spread'))
    return seen
  })()
  const updated = await house.json('deploy', '-f', house.manifest('spread', { replicas: 3, environment: 'A: b' }))
  asking = false
  const seen = await statuses
  assert.equal(updated.deployed[0].action, 'updated')
  assert.equal(updated.deployed[0].stopped, 3)
  assert.deepEqual(hostsOf(updated), ['host-a', 'host-b', 'host-c'])
  assert.ok(
    seen.length > 10 && seen.every((status) => status === 200),
    `${seen.length}: ${seen.filter((s) => s !== 200)}`,
  )
  console.log(`update: ${seen.length} requests meanwhile, none failed`)
})

test('with deployPolicy Recreate the old replica has ended before the new one starts', async () => {
  const spec = '  deployPolicy: Recreate'
  const { deployed } = await house.json('deploy', '-f', house.manifest('anew', { spec }))
  const [old] = deployed[0].replicas as Replica[]
  const nats = await connect({ servers: house.nats.url })
  const commands: string[] = []
  const oldAtStart: Promise<unknown>[] = []
  nats.subscribe('runtime.host.*.workload.>', {
    callback: (_, { subject, data }) => {
      const command = subject.split('.').at(-1)!
      if (command === 'status') return
      commands.push(command)
      if (command !== 'start') return
      assert.ok(!Buffer.from(data).includes(old!.workloadId))
      oldAtStart.push(house.json('get', 'workloads', 'anew'))
    },
  })
  await nats.flush()
  const again = await house.json('deploy', '-f', house.manifest('anew', { spec, environment: 'A: b' }))
  assert.equal(again.deployed[0].action, 'updated')
  assert.equal(again.deployed[0].stopped, 1)
  assert.deepEqual(commands, ['stop', 'start'])
  const [seen] = (await Promise.all(oldAtStart)) as { workloads: { workloadId: string }[] }[]
  assert.ok(seen!.workloads.every(({ workloadId }) => workloadId !== old!.workloadId))
  await nats.close()
})

test('imagePullSecret is what a directory has under its name, and goes with the workload to hosts that have no credentials', async () => {
  await using registry = await startPrivateRegistry(house.directory)
  const credentials = { kind: 'basic', username: 'ann', password: 'pa55' } as const
  const bytes = readFileSync((await buildComponents(['hello-c'])).get('hello-c')!)
  await (await testClient()).push(`${registry.host}/team/private:1`, bytes, { credentials, signal: signal() })
  const file = house.manifest('private', { image: `${registry.host}/team/private:1`, imagePullSecret: 'regcred' })
  const alone = await house.run('deploy', '-f', file)
  assert.equal(alone.exitCode, 5)
  assert.match(alone.stderr, /the imagePullSecret regcred is not read, for want of --pull-secrets/)
  assert.match(alone.stderr, /ERR_OCI_UNAUTHORIZED/)
  const secrets = join(house.directory, 'secrets')
  mkdirSync(secrets)
  const auth = Buffer.from('ann:pa55').toString('base64')
  writeFileSync(join(secrets, 'regcred.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }))
  const { deployed } = await house.json('deploy', '-f', file, '--pull-secrets', secrets)
  assert.equal(deployed[0].replicas[0].state, 'running')
  // A host that starts it from the file reads the same directory.
  await using herald = house.start(
    ...['host', '-f', file, '--pull-secrets', secrets, '--http', '0', '--output', 'json'],
    ...['--spire-admin-socket', join(house.directory, 'no.sock'), '--image-cache', join(house.directory, 'other')],
  )
  const { failed } = (await herald.event('ready')) as { failed: unknown[] }
  assert.deepEqual(failed, [])
})

test('hostSelector and environment decide who may run it', async () => {
  const selected = await house.json(
    'deploy',
    '-f',
    house.manifest('zoned', { replicas: 2, spec: '      hostSelector: {zone: z1}\n' }),
  )
  assert.deepEqual(hostsOf(selected), ['host-a', 'host-c'])
  const environment = await house.json('deploy', '-f', house.manifest('team', { spec: '      environment: team\n' }))
  assert.deepEqual(hostsOf(environment), ['host-b'])
  const nowhere = await house.run(
    'deploy',
    '-f',
    house.manifest('nowhere', { spec: '      hostSelector: {zone: z9}\n' }),
  )
  assert.equal(nowhere.exitCode, 4)
  assert.match(
    nowhere.stderr,
    /ERR_DEPLOY_NO_HOST: no host takes work with the label zone=z9 — there are: host-a \(hostgroup=default, zone=z1\)/,
  )
})

test('herald scale starts copies that the hosts hand to each other, keeps to the placement, and ends some', async () => {
  const up = await house.json('scale', 'zoned', '--replicas', '4')
  assert.deepEqual(hostsOf(up), ['host-a', 'host-a', 'host-c', 'host-c'])
  assert.equal((await house.json('get', 'workloads', 'zoned')).workloads.length, 4)
  const down = await house.json('scale', 'zoned', '--replicas', '1')
  assert.equal(down.deployed[0].stopped, 3)
  const left = (await house.json('get', 'workloads', 'zoned')).workloads
  assert.equal(left.filter(({ state }: Replica) => state === 'running').length, 1)
  assert.ok(left.every(({ state }: Replica) => ['running', 'stopping'].includes(state)))
})

test('a component that cannot run is refused with its reason, and what ran before goes on', async () => {
  const before = (await house.json('get', 'workloads', 'team')).workloads
  const { exitCode, stderr } = await house.run(
    'deploy',
    '-f',
    house.manifest('team', { image: house.image('whoami-c'), spec: '      environment: team\n' }),
  )
  assert.equal(exitCode, 5)
  assert.match(
    stderr,
    /ERR_DEPLOY_FAILED: default\/team does not run on host-b \(error\): ERR_WORKLOAD_IMPORT_DENIED: .*what ran before goes on/,
  )
  assert.deepEqual((await house.json('get', 'workloads', 'team')).workloads, before)
  assert.equal(await answers(b, 'team'), 200)
})

test('a file does not travel: it is refused, and pushed with --push', async () => {
  const path = (await buildComponents(['hello-c'])).get('hello-c') ?? ''
  assert.ok(existsSync(path))
  const file = house.manifest('local', { image: `file://${path}` })
  const refused = await house.run('deploy', '-f', file)
  assert.equal(refused.exitCode, 2)
  assert.match(
    refused.stderr,
    /ERR_IMAGE_INVALID: .* stands on this machine, and hosts cannot read it — push it: --push REGISTRY\/NAME/,
  )
  await house.json('deploy', '-f', file, '--push', `${house.registry.host}/demo/local`)
  const { components } = await house.json('get', 'components', 'local')
  assert.match(components[0].image, new RegExp(`^${house.registry.host}/demo/local:[0-9a-f]{12}@sha256:[0-9a-f]{64}$`))
})

test('herald describe says all replicas and components of a workload, and what a host runs', async () => {
  const workload = await house.run('describe', 'workload', 'spread')
  assert.match(workload.stdout, /^workload +default\/spread\nreplicas +3\nplacement +any host\n/)
  for (const name of ['host-a', 'host-b', 'host-c'])
    assert.match(workload.stdout, new RegExp(`running +${name} +spread`))
  assert.match(workload.stdout, /sha256:[0-9a-f]{64}/)
  const host = await house.json('describe', 'host', b.id.slice(0, 8))
  const runs = new Set(host.runs.map(({ name }: { name: string }) => name))
  assert.ok(runs.isSupersetOf(new Set(['spread', 'team'])), [...runs].join(' '))
  const yaml = await house.run('describe', 'host', 'host-b', '-o', 'yaml')
  assert.match(yaml.stdout, /^friendlyName: host-b$/m)
  const missing = await house.run('describe', 'host', 'host-z')
  assert.equal(missing.exitCode, 2)
  assert.match(missing.stderr, /ERR_HOST_NOT_FOUND: no host host-z answers — there are: host-a, host-b, host-c/)
})

test('--wait waits for a host that fits; Ctrl-C ends it with 130 and without a word', async () => {
  const file = house.manifest('late', { spec: '      hostSelector: {zone: z8}\n' })
  await using interrupted = house.start('deploy', '-f', file, '--wait')
  while (!interrupted.stderr.includes('waiting: no host takes work'))
    await new Promise((resolve) => setTimeout(resolve, 50))
  interrupted.interrupt()
  const { exitCode, stderr } = await interrupted.exited
  assert.equal(exitCode, 130)
  assert.doesNotMatch(stderr, /ERR_/)
  const deployed = house.json('deploy', '-f', file, '--wait')
  const late = await house.host('host-late', '--label', 'zone=z8', '--cpu-limit', '500', '--isolation', 'process')
  assert.deepEqual(hostsOf(await deployed), ['host-late'])
  const described = (await house.run('describe', 'workload', 'late')).stdout
  assert.match(described, /^default +late .* process /m)
  assert.match(described, /^default\/late .* process /m)
  assert.match(described, /^cpu limit +500m for each cell; they have slept \d+\.\d s because of it$/m)
  assert.equal((await house.json('host', 'drain', 'host-late', '--force')).left, true)
  assert.equal((await late.herald.exited).exitCode, 0)
})

test('a deploy that is interrupted while hosts start takes back what it began', async () => {
  await using interrupted = house.start('deploy', '-f', house.manifest('cut', { replicas: 40 }))
  while (!interrupted.stderr.includes('starting on')) await new Promise((resolve) => setTimeout(resolve, 5))
  interrupted.interrupt()
  assert.equal((await interrupted.exited).exitCode, 130)
  const untilMs = Date.now() + 30_000
  const left = async (): Promise<Replica[]> =>
    (await house.json('get', 'workloads')).workloads.filter(({ name }: { name: string }) => name === 'cut')
  while ((await left()).length > 0 && Date.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 500))
  assert.deepEqual(await left(), [])
})

test('herald host drain moves what was deployed, and the host ends with 0', async () => {
  const counted = (await house.json('get', 'workloads', 'spread')).workloads.length
  const drained = await house.json('host', 'drain', 'host-c')
  assert.equal(drained.left, true)
  assert.deepEqual(drained.ended, [])
  const { exitCode, stderr } = await c.herald.exited
  assert.equal(exitCode, 0, stderr)
  const { workloads } = await house.json('get', 'workloads')
  assert.equal(workloads.filter(({ name }: { name: string }) => name === 'spread').length, counted)
  assert.ok(workloads.every(({ host }: { host: string }) => host !== 'host-c'))
  const nowhere = await house.run('host', 'drain', 'host-b')
  assert.equal(nowhere.exitCode, 4)
  assert.match(nowhere.stderr, /default\/team has nowhere to go: .*--force/)
})

test('herald delete ends all replicas; what is not there is an error that names what is', async () => {
  const { deleted } = await house.json('delete', 'spread', 'team')
  assert.deepEqual(
    deleted.map(({ workload, stopped }: { workload: string; stopped: number }) => [workload, stopped]),
    [
      ['default/spread', 3],
      ['default/team', 1],
    ],
  )
  const untilMs = Date.now() + 10_000
  // They serve on for --stop-delay.
  while ((await answers(a, 'spread')) === 200 && Date.now() < untilMs)
    await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(await answers(a, 'spread'), 404)
  const { exitCode, stderr } = await house.run('delete', 'default/spread')
  assert.equal(exitCode, 2)
  assert.match(
    stderr,
    /ERR_WORKLOAD_NOT_FOUND: no host runs default\/spread — there are: .*default\/local, .*default\/zoned/,
  )
})

test('without NATS the command says so, with where it looked', async () => {
  const { exitCode, stderr } = await house.run('get', 'hosts', '--nats', 'nats://127.0.0.1:1')
  assert.equal(exitCode, 4)
  assert.match(stderr, /^ERR_LATTICE_UNREACHABLE: .*127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/)
})
