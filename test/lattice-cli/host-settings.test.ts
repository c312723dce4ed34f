import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import type { CliEnvironment } from '../../src/cli/environment.ts'
import type { HostCommandOptions } from '../../src/cli/host-command.ts'
import { applyHostSettings, settingsOf, variableOf } from '../../src/cli/host-settings.ts'
import { createProgram } from '../../src/cli/program.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { runHerald, startHerald } from '../cli/herald-process.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

type Given = { readonly args?: readonly string[]; readonly variables?: Record<string, string>; readonly yaml?: string }

/** The options that `herald host` would run with. */
async function settle({ args = [], variables = {}, yaml }: Given, more: Partial<CliEnvironment> = {}) {
  using directory = temporaryDirectory()
  const file = join(directory.path, 'host.yaml')
  if (yaml !== undefined) writeFileSync(file, yaml)
  const environment: CliEnvironment = {
    ...{ args: [], cwd: directory.path, noColor: true, inKubernetes: false, spireAdminSocket: undefined },
    ...{ stdout: { write: () => true }, stderr: { write: () => true } },
    ...{ runtimeDirectory: '/', natsUrls: undefined, context: undefined, contextsFile: '/', dataDirectory: '/' },
    hostVariables: variables,
    ...more,
  }
  const host = createProgram(environment).commands.find((command) => command.name() === 'host') as Command
  host.parseOptions([...args, ...(yaml === undefined ? [] : ['--config', 'host.yaml'])])
  await applyHostSettings(host, environment)
  return host.opts<HostCommandOptions>()
}

test('the command line goes before a variable, a variable before the file, the file before the default', async () => {
  const args = ['--drain-timeout', '1s']
  const variables = { HERALD_HOST_DRAIN_TIMEOUT: '2s' }
  const yaml = 'drainTimeout: 3s\n'
  assert.equal((await settle({ args, variables, yaml })).drainTimeout, 1_000)
  assert.equal((await settle({ variables, yaml })).drainTimeout, 2_000)
  assert.equal((await settle({ yaml })).drainTimeout, 3_000)
  assert.equal((await settle({})).drainTimeout, 20_000)
})

test('every kind of option can stand in the file and in a variable, and means the same', async () => {
  const wanted = {
    nats: ['nats://a:4222', 'tls://b'],
    label: { zone: 'eu-1', 'example.com/tier': '2' },
    registryMirror: { 'docker.io': 'm1,m2' },
    http: { host: '0.0.0.0', port: 8000 },
    memoryLimit: 512,
    natsTlsFirst: true,
    logFormat: 'json',
    orphanAfter: Number.POSITIVE_INFINITY,
    spireAdminSocket: '/run/with space.sock',
  }
  const yaml = `
nats: [nats://a:4222, tls://b]
label:
  zone: eu-1
  example.com/tier: 2
registryMirror: docker.io=m1,m2
http: :8000
memoryLimit: 512
natsTlsFirst: true
logFormat: json
orphanAfter: never
spireAdminSocket: /run/with space.sock
`
  const variables = {
    HERALD_HOST_NATS: 'nats://a:4222 tls://b',
    HERALD_HOST_LABEL: 'zone=eu-1  example.com/tier=2',
    HERALD_HOST_REGISTRY_MIRROR: 'docker.io=m1,m2',
    HERALD_HOST_HTTP: ':8000',
    HERALD_HOST_MEMORY_LIMIT: '512',
    HERALD_HOST_NATS_TLS_FIRST: 'true',
    HERALD_HOST_LOG_FORMAT: 'json',
    HERALD_HOST_ORPHAN_AFTER: 'never',
    HERALD_HOST_SPIRE_ADMIN_SOCKET: '/run/with space.sock',
  }
  for (const options of [await settle({ yaml }), await settle({ variables })] as Record<string, unknown>[])
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((name) => [name, options[name]])), wanted)
})

test('an option that turns something off is false in file and variable, by its name without no', async () => {
  using directory = temporaryDirectory()
  writeFileSync(join(directory.path, 'host.yaml'), 'audit: false\n')
  const environment = {
    cwd: directory.path,
    hostVariables: { HERALD_HOST_TRACE: 'false' },
  } as unknown as CliEnvironment
  const command = new Command().option('--config <file>').option('--no-audit').option('--no-trace')
  command.parseOptions(['--config', 'host.yaml'])
  await applyHostSettings(command, environment)
  assert.deepEqual(command.opts(), { config: 'host.yaml', audit: false, trace: false })
})

test('a list in a stronger source replaces the weaker one, and an empty file changes nothing', async () => {
  const yaml = 'label: {a: x, b: y}\n'
  assert.deepEqual((await settle({ args: ['--label', 'a=z'], yaml })).label, { a: 'z' })
  assert.equal((await settle({ yaml: '# nothing\n' })).hostgroup, 'default')
})

test('what SPIFFE and SPIRE name goes before the file, and Herald’s own variable before it', async () => {
  const yaml = 'spireAdminSocket: /file.sock\n'
  const surroundings = { spireAdminSocket: '/spire.sock' }
  assert.equal((await settle({ yaml }, surroundings)).spireAdminSocket, '/spire.sock')
  const variables = { HERALD_HOST_SPIRE_ADMIN_SOCKET: '/own.sock' }
  assert.equal((await settle({ yaml, variables }, surroundings)).spireAdminSocket, '/own.sock')
})

test('no two options share a variable, and the file itself can be named by one', async () => {
  const host = createProgram({ stdout: {}, stderr: {} } as CliEnvironment).commands.find(
    (command) => command.name() === 'host',
  ) as Command
  const names = [...settingsOf(host).keys()]
  assert.equal(new Set(names.map(variableOf)).size, names.length)
  assert.ok(names.length > 30)
  await assert.rejects(settle({ variables: { HERALD_HOST_CONFIG: 'elsewhere.yaml' } }), /cannot be read: ENOENT/)
})

for (const [what, yaml, expected] of [
  [
    'an unknown key',
    'http: 8000\nlabels: {a: b}\n',
    /^ERR_HOST_CONFIG_INVALID: host\.yaml:2:1 \(labels\): unknown key/,
  ],
  ['an option as it is on the command line', 'drain-timeout: 1s\n', /host\.yaml:1:1 .*write it "drainTimeout"/],
  ['a duration without a unit', 'http: 8000\ndrainTimeout: 20\n', /host\.yaml:2:15 \(drainTimeout\): .*its unit/],
  ['a list where one text is wanted', 'hostgroup: [a]\n', /:1:12 \(hostgroup\): expected one text or number/],
  ['a key without a value', 'lattice:\n', /:1:1 \(lattice\): it has no value/],
  ['a flag that is a text', 'natsTlsFirst: "yes"\n', /:1:15 \(natsTlsFirst\): write true or false/],
  ['a choice that is none', 'logLevel: loud\n', /:1:11 \(logLevel\): .*choices/i],
  ['a key twice', 'http: 1\nhttp: 2\n', /host\.yaml:2:1: .*unique/i],
  ['no mapping', '- http\n', /host\.yaml:1:1: expected a mapping/],
  ['two documents', 'http: 1\n---\nhttp: 2\n', /host\.yaml:3:1: .*second document/],
  ['what is no YAML', 'http: [1\n', /^ERR_HOST_CONFIG_INVALID: host\.yaml:/],
  ['how results are printed', 'output: json\n', /unknown key "output"/],
] as const) {
  test(`in the file ${what} is refused with its place`, () =>
    assert.rejects(settle({ yaml }), (error) => {
      assert.ok(error instanceof HeraldError)
      assert.match(error.describe(), expected)
      return true
    }))
}

test('all that is wrong with a file is said at once', () =>
  assert.rejects(settle({ yaml: 'a: 1\nb: 2\n' }), (error) => {
    assert.equal((error as HeraldError).describe().split('\n').length, 2)
    return true
  }))

test('a variable that is unknown or wrong is refused; what Kubernetes sets for a Service called herald-host is not taken for one', async () => {
  await assert.rejects(settle({ variables: { HERALD_HOST_NATS_URL: 'x' } }), /no setting HERALD_HOST_NATS_URL/)
  await assert.rejects(settle({ variables: { HERALD_HOST_DRAIN_TIMEOUT: '20' } }), /HERALD_HOST_DRAIN_TIMEOUT "20"/)
  await settle({
    variables: {
      HERALD_HOST_SERVICE_HOST: '10.0.0.1',
      HERALD_HOST_SERVICE_PORT_HTTP: '80',
      HERALD_HOST_PORT: 'tcp://10.0.0.1:80',
      HERALD_HOST_PORT_80_TCP_ADDR: '10.0.0.1',
    },
  })
})

test('herald host runs by its file, and ends with 2 and the place when the file is wrong', async () => {
  await using nats = await startNats()
  using directory = temporaryDirectory()
  const file = join(directory.path, 'host.yaml')
  const settings = `nats: [${nats.url}]\nhttp: 0\nspireAdminSocket: ${join(directory.path, 'no.sock')}\nlabel: {zone: a}\n`
  writeFileSync(file, settings)
  const options = {
    cwd: directory.path,
    node: process.execPath,
    env: { XDG_CACHE_HOME: directory.path, HERALD_HOST_FRIENDLY_NAME: 'by-file', HERALD_NATS_URL: nats.url },
  }
  await using herald = startHerald(['host', '--config', 'host.yaml', '--output', 'json'], options)
  await herald.event('ready')
  const endMs = Date.now() + 20_000
  const listed = async () => {
    const { stdout } = await runHerald(['get', 'hosts', '--output', 'json'], options)
    return (JSON.parse(stdout || '{"hosts":[]}') as { hosts: { friendlyName: string; labels: object }[] }).hosts
  }
  let hosts = await listed()
  for (; hosts.length === 0; hosts = await listed()) assert.ok(Date.now() < endMs, herald.stderr)
  assert.deepEqual(
    hosts.map(({ friendlyName, labels }) => ({ friendlyName, labels })),
    [{ friendlyName: 'by-file', labels: { hostgroup: 'default', zone: 'a' } }],
  )
  writeFileSync(file, `${settings}zone: b\n`)
  const { exitCode, stderr } = await runHerald(['host', '--config', 'host.yaml'], options)
  assert.equal(exitCode, 2)
  assert.match(stderr, /ERR_HOST_CONFIG_INVALID: host\.yaml:5:1 \(zone\): unknown key "zone"/)
})
