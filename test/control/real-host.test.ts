import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildComponents } from '../../scripts/build-components.ts'
import { signal, testClient } from '../oci/oci-test-setup.ts'
import { startLog } from '../support/log.ts'
import { startNats } from '../support/nats.ts'
import { startRegistry } from '../support/registry.ts'
import { type ServerProcess, startServerProcess } from '../support/server-process.ts'
import { startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { startOperatorDriver, wireWorkload } from './operator-driver.ts'

// The command `herald host --nats`, real components from a real registry over a real NATS; the operator is played.
const components = await buildComponents(['hello-c', 'whoami-c', 'hello-cli-c'])
const nats = await startNats()
const registry = await startRegistry()
const operator = await startOperatorDriver(nats.url)
const directory = temporaryDirectory()
after(async () => {
  await operator[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

const client = await testClient()
const digests = new Map<string, string>()
for (const [name, path] of components) {
  const { manifestDigest } = await client.push(`${registry.host}/demo/${name}:1`, readFileSync(path), {
    signal: signal(),
  })
  digests.set(name, manifestDigest)
}
const image = (name: string) => `${registry.host}/demo/${name}:1`

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

type Host = AsyncDisposable & { readonly hostId: string; readonly url: string; readonly process: ServerProcess }

/** The command as a process of its own, started without bin/herald.js, so that a signal reaches the host itself. */
async function startHost(options: { adminSocket?: string } = {}): Promise<Host> {
  const hostId = randomUUID()
  const log = startLog('herald')
  const readyLine = () =>
    log
      .text()
      .split('\n')
      .find((line) => line.startsWith('{"event":"ready"'))
  const server = await startServerProcess({
    name: 'herald host',
    program: process.execPath,
    args: [
      ...['--disable-warning=ExperimentalWarning', main, 'host', '--output', 'json', '--http', '0'],
      ...['--nats', nats.url, '--host-id', hostId, '--stop-delay', '0s', '--friendly-name', `host-${hostId}`],
      ...['--spire-admin-socket', options.adminSocket ?? join(directory.path, 'no-spire.sock')],
      ...['--image-cache', join(directory.path, 'images')],
    ],
    log,
    isReady: async () => readyLine() !== undefined && operator.heartbeats.has(hostId),
  })
  const { http } = JSON.parse(readyLine()!)
  return { hostId, url: http, process: server, [Symbol.asyncDispose]: () => server.kill() }
}

function get(url: string, host: string, path = '/'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(new URL(path, url), { headers: { host } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      // After 'end' this changes nothing; without it the host was gone in the middle.
      response.on('close', () => reject(new Error('the response broke')))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

test('the operator places a workload from a registry; it serves under its host name and its Service’s names; it is stopped', async (t) => {
  await using host = await startHost()
  const heartbeat = operator.heartbeats.get(host.hostId)![0]!.heartbeat
  assert.deepEqual(heartbeat.labels, { hostgroup: 'default' })
  assert.equal(heartbeat.httpPort, Number(new URL(host.url).port))
  assert.ok(
    heartbeat.imports.some(
      (each) => each.namespace === 'wasmcloud' && each.package === 'identity' && each.interfaces.includes('store'),
    ),
  )

  const firstMs = performance.now()
  const { workloadState, message } = await operator.start(
    host.hostId,
    'uid-1',
    wireWorkload('hello', { image: image('hello-c') }),
  )
  assert.equal(workloadState, 'WORKLOAD_STATE_RUNNING', message)
  const cachedMs = performance.now()
  await operator.start(host.hostId, 'uid-2', wireWorkload('hello-again', { image: image('hello-c') }))
  t.diagnostic(
    `start to RUNNING: ${Math.round(cachedMs - firstMs)} ms from the registry and compiled, ${Math.round(performance.now() - cachedMs)} ms the second of the same image`,
  )

  for (const name of ['hello.example.com', 'hello.team-a', 'hello.team-a.svc'])
    assert.deepEqual(await get(host.url, name), { status: 200, body: 'hello\n' })
  assert.equal((await get(host.url, 'other.example.com')).status, 404)
  const { workloadCount, componentCount } = await operator.heartbeat(host.hostId)
  assert.deepEqual([workloadCount, componentCount], ['2', '2'])

  await operator.stop(host.hostId, 'uid-1')
  assert.equal((await operator.status(host.hostId, 'uid-1')).workloadState, 'WORKLOAD_STATE_NOT_FOUND')
  assert.equal((await get(host.url, 'hello.example.com')).status, 404)
  assert.equal((await get(host.url, 'hello-again.example.com')).status, 200)
})

test('what cannot start is answered with the reason a person needs', async () => {
  await using host = await startHost()
  for (const [name, workload, reason] of [
    [
      'no such tag',
      wireWorkload('a', { image: `${registry.host}/demo/hello-c:2` }),
      /^ERR_OCI_NOT_FOUND: .*MANIFEST_UNKNOWN/,
    ],
    [
      'no identity entry',
      wireWorkload('b', { image: image('whoami-c') }),
      /^ERR_WORKLOAD_IMPORT_DENIED: .*wasmcloud:identity/,
    ],
    ['a registry that is not there', wireWorkload('c', { image: '127.0.0.1:1/x/y:1' }), /^ERR_OCI_UNREACHABLE/],
  ] as const) {
    const answer = await operator.start(host.hostId, name, workload)
    assert.equal(answer.workloadState, 'WORKLOAD_STATE_ERROR')
    assert.match(answer.message, reason)
    assert.equal((await operator.status(host.hostId, name)).message, answer.message)
    await operator.stop(host.hostId, name)
  }
  assert.equal(
    (await operator.place(host.hostId, 'fine', wireWorkload('fine', { image: image('hello-c') }))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
})

test('a component that runs to completion is COMPLETED', async () => {
  await using host = await startHost()
  const world = { components: [{ name: 'job', image: image('hello-cli-c'), localResources: {} }] }
  await operator.start(host.hostId, 'job', { namespace: 'team-a', name: 'job', witWorld: world })
  const deadlineMs = Date.now() + 10_000
  let state = ''
  while (state !== 'WORKLOAD_STATE_COMPLETED' && Date.now() < deadlineMs)
    state = (await operator.status(host.hostId, 'job')).workloadState
  assert.equal(state, 'WORKLOAD_STATE_COMPLETED')
})

test('a component placed over the lattice gets the SVID of its entry, by the digest of the manifest that was pulled', async () => {
  await using spire = await startSpire()
  const spiffeId = 'spiffe://example.org/default/whoami'
  await spire.createEntry({
    spiffeId,
    selectors: [
      `wasmcloud:image-digest:${digests.get('whoami-c')}`,
      'wasmcloud:component:api',
      'wasmcloud:namespace:team-a',
      'wasmcloud:host-label:hostgroup:default',
    ],
  })
  await using host = await startHost({ adminSocket: spire.adminSocketPath })
  const workload = wireWorkload('whoami', { image: image('whoami-c') }) as { witWorld: { hostInterfaces: object[] } }
  workload.witWorld.hostInterfaces.push({
    namespace: 'wasmcloud',
    package: 'identity',
    version: '0.0.1',
    interfaces: ['store'],
    config: { audiences: 'sts.amazonaws.com' },
  })
  const { workloadState, message } = await operator.place(host.hostId, 'whoami', workload)
  assert.equal(workloadState, 'WORKLOAD_STATE_RUNNING', message)
  const { status, body } = await get(host.url, 'whoami.example.com')
  assert.equal(status, 200, body)
  assert.equal(JSON.parse(body).spiffeId, spiffeId)
})

test('a host is killed with -9 in the middle of requests: another host serves', async (t) => {
  await using one = await startHost()
  await using two = await startHost()
  const workload = wireWorkload('moved', { image: image('hello-c') })
  await operator.place(one.hostId, 'moved-1', workload)
  const requests = Array.from({ length: 20 }, () => get(one.url, 'moved.example.com').catch(() => undefined))
  const killedMs = performance.now()
  await one.process.kill()
  await Promise.all(requests)
  assert.equal(await operator.raw(one.hostId, 'heartbeat', Buffer.from('{}')), undefined)
  await operator.place(two.hostId, 'moved-2', workload)
  assert.equal((await get(two.url, 'moved.example.com')).status, 200)
  t.diagnostic(
    `another host answered HTTP ${Math.round(performance.now() - killedMs)} ms after the kill, once asked; upstream's operator finds out within 60 s`,
  )
})

test('a rolling update under load loses no request', async (t) => {
  await using host = await startHost()
  const workload = wireWorkload('rolling', { image: image('hello-c') })
  await operator.place(host.hostId, 'generation-0', workload)
  let running = true
  const counts = { ok: 0, failed: [] as unknown[] }
  const load = Array.from({ length: 8 }, async () => {
    while (running) {
      const answer = await get(host.url, 'rolling.example.com').catch((error: unknown) => ({
        status: 0,
        body: String(error),
      }))
      if (answer.status === 200) counts.ok++
      else counts.failed.push(answer)
    }
  })
  for (let generation = 1; generation <= 5; generation++) {
    const { workloadState, message } = await operator.start(host.hostId, `generation-${generation}`, workload)
    assert.equal(workloadState, 'WORKLOAD_STATE_RUNNING', message)
    await operator.stop(host.hostId, `generation-${generation - 1}`)
  }
  running = false
  await Promise.all(load)
  t.diagnostic(`${counts.ok} requests during five updates`)
  assert.deepEqual(counts.failed, [])
})

test('SIGTERM drains: new work is refused, what is in flight finishes, it exits with 0', async () => {
  await using host = await startHost()
  await operator.place(host.hostId, 'uid', wireWorkload('drained', { image: image('hello-c') }))
  await host.process.stop()
  assert.deepEqual(host.process.exit(), { code: 0, signal: null })
  assert.match(host.process.log.text(), /"event":"host\.drained"/)
})
