import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { directoriesIn, type HeraldOptions, runHerald, startHerald } from '../cli/herald-process.ts'
import { startRegistry } from '../support/registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// A lattice on one machine by `herald up` alone, and the other commands against it by its context.
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
const at = (...names: string[]): string => join(directory.path, ...names)
const components = await buildComponents(['hello-c', 'whoami-c', 'hello-cli-c'])
const fileOf = (name: string): string => components.get(name) ?? assert.fail(name)
const natsServer = join(await buildServer('nats'), 'nats-server')
const options: HeraldOptions = {
  cwd: directory.path,
  env: {
    ...directoriesIn(directory.path),
  },
  node: process.execPath,
}
const run = (...args: string[]) => runHerald(args, options)
const json = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await run(...args, '--output', 'json')
  assert.equal(exitCode, 0, `herald ${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout)
}
const manifest = (name: string, entries: string): string => {
  const file = at(`${name}.yaml`)
  writeFileSync(
    file,
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  replicas: 2
  template:
    spec:
      components: [{name: ${name}, image: "file://${fileOf(name)}"}]
      hostInterfaces: [${entries}]
`,
  )
  return file
}
const http = (host: string) =>
  `{namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${host}}}`
const identity =
  '{namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: sts.amazonaws.com}}'

test('herald up: deploy a file, call it, see it, follow its log, and end clean', async (t) => {
  await using up = startHerald(
    ['up', '--nats-server', natsServer, '--nats-port', '0', '--http', '0', '--output', 'json'],
    options,
  )
  const ready = (await up.event('ready')) as { nats: string[]; http: string }
  const tokenFile = at('herald', 'up', 'nats.token')

  await t.test('NATS wants the token, which only this user can read, and the context has its path', async () => {
    assert.equal(statSync(tokenFile).mode & 0o777, 0o600)
    const refused = await run('get', 'hosts', '--nats', ready.nats[0] ?? '')
    assert.equal(refused.exitCode, 4)
    assert.match(refused.stderr, /ERR_LATTICE_UNREACHABLE: .*Authorization Violation/i)
    const { current, contexts } = await json('config', 'list')
    assert.equal(current, 'up')
    assert.deepEqual(contexts.up, { nats: ready.nats, natsTokenFile: tokenFile })
  })

  await t.test('a file of this machine is deployed without a registry, and answers by its own SPIFFE ID', async () => {
    const { deployed } = await json('deploy', '-f', manifest('whoami-c', `${http('who.example')}, ${identity}`))
    assert.equal(deployed[0].replicas.length, 2)
    const { exitCode, stdout } = await run('call', 'team/whoami-c')
    assert.equal(exitCode, 0)
    assert.match(stdout, /spiffe:\/\/development\.local\/default\/whoami-c/)
    const { components: listed } = await json('get', 'components')
    assert.deepEqual(listed[0].audiences, ['sts.amazonaws.com'])
  })

  await t.test('herald call with a URL, -i and a refusing status', async () => {
    const { exitCode, stderr } = await run('call', ready.http, '-i')
    assert.equal(exitCode, 1)
    assert.match(stderr, /^404 Not Found\n[\s\S]*ERR_CALL_STATUS: GET \/ was answered with 404/)
  })

  await t.test(
    'herald logs -f shows what a component writes, from which host and component, until Ctrl-C',
    async () => {
      await using logs = startHerald(['logs', '-f', '--output', 'json'], options)
      await new Promise((resolve) => setTimeout(resolve, 3_000))
      await run('deploy', '-f', manifest('hello-cli-c', ''))
      const untilMs = Date.now() + 10_000
      const lines = () =>
        logs.stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
      while (!lines().some(({ stream }) => stream === 'stdout') && Date.now() < untilMs)
        await new Promise((resolve) => setTimeout(resolve, 50))
      const line = lines().find(({ stream }) => stream === 'stdout')
      assert.deepEqual(
        [line?.host, line?.workload, line?.component],
        ['up', 'team/hello-cli-c', 'hello-cli-c'],
        logs.stderr,
      )
      logs.interrupt()
      assert.equal((await logs.exited).exitCode, 0)
    },
  )

  await t.test('herald get --watch prints again when something changes, and Ctrl-C ends it with 0', async () => {
    await using watch = startHerald(['get', 'workloads', '-w', '--interval', '300ms', '--output', 'json'], options)
    const lists = () => watch.stdout.split('\n').filter(Boolean)
    while (lists().length < 1) await new Promise((resolve) => setTimeout(resolve, 50))
    await run('delete', 'team/hello-cli-c')
    const untilMs = Date.now() + 10_000
    while (!lists().some((line) => !line.includes('hello-cli-c')) && Date.now() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(lists().some((line) => !line.includes('hello-cli-c')))
    watch.interrupt()
    const { exitCode, stderr } = await watch.exited
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' })
  })

  const token = readFileSync(tokenFile, 'utf8')
  up.interrupt()
  const { exitCode, stdout, stderr } = await up.exited
  assert.equal(exitCode, 0, stderr)
  assert.ok(!(stdout + stderr).includes(token), 'no token in any output')
  assert.ok(!existsSync(tokenFile), 'the token is gone')
  const gone = await run('get', 'hosts')
  assert.equal(gone.exitCode, 4)
})

test('without a nats-server herald up says how to get one', async () => {
  const { exitCode, stderr } = await runHerald(['up', '--http', '0', '--log-level', 'silent'], {
    ...options,
    env: { ...options.env, PATH: '/nowhere' },
  })
  assert.equal(exitCode, 2)
  assert.match(stderr, /^ERR_PROGRAM_MISSING: there is no nats-server on the PATH — .*apt-get install nats-server/)
})

test('contexts are made, used, listed and deleted; a broken file is named', async () => {
  const other = { ...options, env: { ...options.env, XDG_CONFIG_HOME: at('contexts') } }
  const config = (...args: string[]) => runHerald(['config', ...args], other)
  assert.equal(
    (await config('set', 'prod', '--nats', 'tls://a:4222', '--nats', 'tls://b:4222', '--nats-creds', '/c')).exitCode,
    0,
  )
  assert.equal((await config('set', 'test', '--nats', 'nats://t:4222', '--use')).exitCode, 0)
  const { stdout } = await config('list')
  assert.match(
    stdout,
    / +NAME +NATS +CREDENTIALS\n +prod +tls:\/\/a:4222,tls:\/\/b:4222 +\/c\n\* +test +nats:\/\/t:4222 +\n/,
  )
  assert.equal((await config('use', 'prod')).exitCode, 0)
  const unknown = await config('use', 'pord')
  assert.equal(unknown.exitCode, 2)
  assert.match(unknown.stderr, /ERR_CONTEXT_INVALID: there is no context pord — known: prod, test/)
  assert.equal((await config('delete', 'prod')).exitCode, 0)
  const path = (await config('path')).stdout.trim()
  assert.equal(statSync(path).mode & 0o777, 0o600)
  writeFileSync(path, 'contexts: {prod: {nats: [a], password: x}}\n')
  const broken = await runHerald(['get', 'hosts'], other)
  assert.equal(broken.exitCode, 2)
  assert.match(broken.stderr, /ERR_CONTEXT_INVALID: .*contexts\.yaml: contexts\.prod: Unrecognized key: "password"/)
})

test('herald oci pushes, looks at and pulls a component; the digest is the same all the way', async () => {
  await using registry = await startRegistry()
  const reference = `${registry.host}/team/hello:1`
  const pushed = await json('oci', 'push', reference, fileOf('hello-c'))
  assert.equal(pushed.pinned, `${registry.host}/team/hello@${pushed.digest}`)
  const seen = await json('oci', 'inspect', reference)
  assert.equal(seen.digest, pushed.digest)
  assert.equal(seen.layers.length, 1)
  const pulled = await json('oci', 'pull', pushed.pinned, '--to', 'pulled.wasm')
  assert.equal(pulled.digest, pushed.digest)
  assert.deepEqual(readFileSync(at('pulled.wasm')), readFileSync(fileOf('hello-c')))
  const missing = await run('oci', 'pull', `${registry.host}/team/none:1`)
  assert.equal(missing.exitCode, 1)
  assert.match(missing.stderr, /^ERR_OCI_NOT_FOUND: /)
})
