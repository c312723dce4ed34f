import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { buildComponents } from '../../scripts/build-components.ts'
import { httpCall } from '../support/http-call.ts'
import { runHerald, startHerald } from './herald-process.ts'

const directory = await mkdtemp(join(tmpdir(), 'herald-serving-'))
after(() => rm(directory, { recursive: true }))
const components = await buildComponents(['hello-c', 'whoami-c', 'hello-cli-c'])
const fileOf = (name: string): string => components.get(name) ?? assert.fail(`${name} was not built`)
for (const name of components.keys()) await copyFile(fileOf(name), join(directory, `${name}.wasm`))

const manifest = (
  name: string,
  component: string,
  entries: string,
  more = '',
) => `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  template:
    spec:
      components: [{name: ${component}, image: "file://${component}.wasm"}]
      hostInterfaces: [${entries}]
${more}`
const http = (host: string) =>
  `{namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${host}}}`
const identity =
  '{namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: sts.amazonaws.com}}'

type Ready = {
  http: string
  issuer: string
  jwksUri: string
  components: { component: string; spiffeId: string; urls: string[] }[]
}
const ready = async (herald: { event(name: string): Promise<object> }): Promise<Ready> =>
  (await herald.event('ready')) as Ready

/** A GET with a Host header of its own, which fetch does not send. */
async function get(url: string, host: string): Promise<{ status: number; body: string }> {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

test('herald dev runs a bare component, answers HTTP, and ends with 0 after Ctrl-C', async () => {
  await using herald = startHerald(['dev', fileOf('hello-c'), '--http', '0', '--output', 'json'])
  const { http: url, components: running } = await ready(herald)
  const response = await fetch(url)
  assert.equal(response.status, 200)
  assert.equal(await response.text(), 'hello\n')
  assert.deepEqual(
    running.map(({ component, spiffeId, urls }) => ({ component, spiffeId, urls })),
    [{ component: 'hello-c', spiffeId: 'spiffe://development.local/default/hello-c', urls: [url] }],
  )
  herald.interrupt()
  const { exitCode, stderr } = await herald.exited
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /"event":"host\.drained"/)
  await assert.rejects(fetch(url), 'the port is free again')
})

test('herald dev says in words where it serves, which identity each component has, and who issues it', async () => {
  await using herald = startHerald(['dev', fileOf('hello-c'), '--http', '0', '--log-level', 'silent'])
  const started = Date.now()
  while (!herald.stdout.includes('Ctrl-C ends it')) {
    assert.ok(Date.now() - started < 30_000, herald.stderr)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.match(
    herald.stdout,
    /^Serving .*hello-c\.wasm, with identities for development only:\n {2}hello-c {2}http:\/\/127\.0\.0\.1:\d+\n +spiffe:\/\/development\.local\/default\/hello-c\n +does not import wasmcloud:identity: it gets no tokens\n {2}issuer {3}http:\/\/127/,
  )
  assert.match(
    herald.stdout,
    /Every call gets a fresh instance, as without poolSize in a manifest; --pool-size keeps some/,
  )
  herald.kill('SIGTERM')
  assert.equal((await herald.exited).exitCode, 0)
})

test('a bare component that asks for an identity is refused without --audience, and told how', async () => {
  const { exitCode, stderr } = await runHerald(['dev', fileOf('whoami-c'), '--http', '0', '--log-level', 'silent'])
  assert.equal(exitCode, 3)
  assert.match(
    stderr,
    /^ERR_WORKLOAD_IMPORT_DENIED: whoami-c asks for an identity, and none is given by default — .*--audience/,
  )
})

test('with --audience the component gets a token of its own, and herald identity token shows one that verifies by the issuer', async () => {
  const env = { XDG_RUNTIME_DIR: join(directory, 'runtime') }
  await mkdir(env.XDG_RUNTIME_DIR)
  await using herald = startHerald(
    [
      'dev',
      fileOf('whoami-c'),
      '--audience',
      'sts.amazonaws.com',
      '--http',
      '0',
      '--output',
      'json',
      '--log-level',
      'debug',
    ],
    { env },
  )
  const { http: url, issuer, jwksUri } = await ready(herald)
  const response = await fetch(url)
  assert.equal(response.status, 200)
  assert.match(await response.text(), /spiffe:\/\/development\.local\/default\/whoami-c/)

  const runtime = join(env.XDG_RUNTIME_DIR, 'herald')
  assert.equal((await stat(runtime)).mode & 0o777, 0o700)
  const shown = await runHerald(['identity', 'token', '--audience', 'relying-party'], { env })
  assert.match(shown.stdout, /^subject +spiffe:\/\/development\.local\/default\/whoami-c\n/)
  assert.doesNotMatch(shown.stdout, /eyJ/)
  const { stdout: raw } = await runHerald(
    ['identity', 'token', '--audience', 'relying-party', '--component', 'whoami-c', '--raw'],
    { env },
  )
  const { payload } = await jwtVerify(raw.trim(), createRemoteJWKSet(new URL(jwksUri)), {
    issuer,
    audience: 'relying-party',
  })
  assert.equal(payload.sub, 'spiffe://development.local/default/whoami-c')
  const other = await runHerald(['identity', 'token', '--audience', 'x', '--component', 'other'], { env })
  assert.equal(other.exitCode, 2)
  assert.match(other.stderr, /no component other runs — running: whoami-c/)

  herald.interrupt()
  const { exitCode, stdout, stderr } = await herald.exited
  assert.equal(exitCode, 0)
  assert.match(stderr, /"event":"audit\.identity\.granted"/)
  assert.doesNotMatch(stdout + stderr, /eyJ[\w-]+\.[\w-]+\./, 'no token in any output')
  const late = await runHerald(['identity', 'token', '--audience', 'x'], { env })
  assert.match(late.stderr, /no herald dev of this user runs/)
})

test('a runtime directory that others can enter is not used, and the component serves all the same', async () => {
  const runtime = join(directory, 'open')
  await mkdir(join(runtime, 'herald'), { recursive: true, mode: 0o755 })
  await using herald = startHerald(['dev', fileOf('hello-c'), '--http', '0', '--output', 'json'], {
    env: { XDG_RUNTIME_DIR: runtime },
  })
  const { http: url } = await ready(herald)
  assert.equal((await fetch(url)).status, 200)
  assert.match(herald.stderr, /dev\.tokens_unavailable/)
})

test('a directory with workload.yaml is run, its hosts are routed apart, and two files serve in one process', async () => {
  const app = join(directory, 'app')
  await mkdir(app)
  for (const name of ['hello-c', 'whoami-c']) await copyFile(fileOf(name), join(app, `${name}.wasm`))
  await writeFile(
    join(app, 'workload.yaml'),
    `${manifest('hello', 'hello-c', http('hello.example'))}---\n${manifest('who', 'whoami-c', `${http('who.example')}, ${identity}`)}`,
  )
  await using herald = startHerald(['dev', '--http', '0', '--output', 'json'], { cwd: app })
  const { http: url } = await ready(herald)
  assert.deepEqual(await get(url, 'hello.example:80'), { status: 200, body: 'hello\n' })
  assert.match((await get(url, 'WHO.example')).body, /default\/whoami-c/)
  assert.equal((await get(url, 'nobody.example')).status, 404)
})

test('a component that is built anew is served anew without a failed request, and one that is broken leaves the old one serving', async () => {
  const app = join(directory, 'reload')
  await mkdir(join(app, 'build'), { recursive: true })
  const built = join(app, 'build', 'app.wasm')
  const build = async (bytes: Buffer): Promise<void> => {
    await writeFile(`${built}.new`, bytes)
    await rename(`${built}.new`, built)
  }
  await build(await readFile(fileOf('hello-c')))
  await using herald = startHerald(['dev', '--http', '0', '--audience', 'sts.amazonaws.com', '--output', 'json'], {
    cwd: app,
  })
  const { http: url } = await ready(herald)
  assert.equal(await (await fetch(url)).text(), 'hello\n')

  let asking = true
  const answers = (async () => {
    const statuses: number[] = []
    // A connection each: a kept one may be closed as idle in the moment that this slow client takes it up again.
    while (asking) statuses.push((await httpCall(url)).status)
    return statuses
  })()
  const whoami = await readFile(fileOf('whoami-c'))
  await build(whoami.subarray(0, whoami.length / 2))
  while (!herald.stderr.includes('dev.reload_failed')) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(await (await fetch(url)).text(), 'hello\n')
  await build(whoami)
  const { tookMs } = (await herald.event('reloaded')) as { tookMs: number }
  assert.match(await (await fetch(url)).text(), /spiffe:\/\/development\.local\/default\/app/)
  asking = false
  const statuses = await answers
  assert.ok(
    statuses.length > 0 && statuses.every((status) => status === 200),
    String(statuses.filter((status) => status !== 200)),
  )
  console.log(`reload: ${tookMs} ms from the change to serving; ${statuses.length} requests meanwhile, none failed`)
  herald.interrupt()
  assert.equal((await herald.exited).exitCode, 0)
})

for (const [code, expected] of [
  ['0', 0],
  ['7', 5],
] as const) {
  test(`a component that runs to completion with exit code ${code} ends herald dev with ${expected}`, async () => {
    const args = ['dev', fileOf('hello-cli-c'), '--http', '0', '--env', `HELLO_EXIT_CODE=${code}`]
    const { exitCode, stderr } = await runHerald(args, { env: { SECRET_OF_THE_SHELL: 'x' } })
    assert.equal(exitCode, expected, stderr)
    assert.match(stderr, /"event":"component\.output".*HELLO_EXIT_CODE/)
    assert.doesNotMatch(stderr, /SECRET_OF_THE_SHELL/, 'nothing of the environment of the shell')
    if (expected === 5) assert.match(stderr, /ERR_WORKLOAD_EXITED: component hello-cli-c ended with exit code 7/)
  })
}

test('an address in use ends it with 4, and says which', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const { exitCode, stderr } = await runHerald([
    'dev',
    fileOf('hello-c'),
    '--http',
    String(port),
    '--log-level',
    'silent',
  ])
  server.close()
  assert.equal(exitCode, 4)
  assert.match(stderr, new RegExp(`^ERR_INGRESS_LISTEN: .*:${port}`))
})

test('herald host starts while the admin socket is not there, says so, serves, and drains on SIGTERM', async () => {
  await writeFile(join(directory, 'hello.yaml'), manifest('hello', 'hello-c', http('hello.example')))
  await writeFile(join(directory, 'who.yaml'), manifest('who', 'whoami-c', `${http('who.example')}, ${identity}`))
  const socket = join(directory, 'no-agent.sock')
  await using herald = startHerald(
    [
      'host',
      '-f',
      'hello.yaml',
      '-f',
      'who.yaml',
      '--http',
      '0',
      '--output',
      'json',
      '--label',
      'zone=z1',
      '--lattice',
      'l1',
    ],
    { cwd: directory, env: { SPIRE_ADMIN_ENDPOINT_SOCKET: socket } },
  )
  const { http: url } = await ready(herald)
  assert.match(herald.stderr, /"event":"spire\.socket_absent"/)
  assert.deepEqual(await get(url, 'hello.example'), { status: 200, body: 'hello\n' })
  // It waits some seconds for an identity, and so is in flight when the host is told to end.
  const inFlight = get(url, 'who.example')
  await new Promise((resolve) => setTimeout(resolve, 500))
  herald.kill('SIGTERM')
  const refused = await inFlight
  assert.ok(refused.status >= 400, refused.body)
  assert.match(refused.body, /identity/)
  const { exitCode, stderr } = await herald.exited
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /"event":"host\.drained"/)
})

test('a second Ctrl-C ends it at once, with what is in flight', async () => {
  await writeFile(join(directory, 'who.yaml'), manifest('who', 'whoami-c', `${http('who.example')}, ${identity}`))
  const args = [
    'host',
    '-f',
    'who.yaml',
    '--http',
    '0',
    '--output',
    'json',
    '--spire-admin-socket',
    join(directory, 'no.sock'),
  ]
  await using herald = startHerald(args, { cwd: directory })
  const { http: url } = await ready(herald)
  const inFlight = get(url, 'who.example').catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 300))
  herald.interrupt()
  while (!herald.stderr.includes('host.draining')) await new Promise((resolve) => setTimeout(resolve, 20))
  // Sooner it would count as the same one.
  await new Promise((resolve) => setTimeout(resolve, 600))
  herald.interrupt()
  const { exitCode, stderr } = await herald.exited
  assert.equal(exitCode, 130)
  assert.doesNotMatch(stderr, /host\.drained/)
  const answer = await inFlight
  assert.ok(answer === undefined || answer.status === 503, 'cut off, or told so')
})

test('herald host refuses a workload that asks for another host, and serves nothing', async () => {
  const text = manifest('hello', 'hello-c', http('a.example'), '      hostSelector: {zone: z2}\n')
  await writeFile(join(directory, 'elsewhere.yaml'), text)
  const { exitCode, stderr, stdout } = await runHerald(
    [
      'host',
      '-f',
      'elsewhere.yaml',
      '--http',
      '0',
      '--log-level',
      'silent',
      '--spire-admin-socket',
      join(directory, 'no.sock'),
    ],
    { cwd: directory },
  )
  assert.deepEqual({ exitCode, stdout }, { exitCode: 2, stdout: '' })
  assert.match(stderr, /^ERR_WORKLOAD_NOT_PLACED_HERE: .*--label zone=z2/)
})
