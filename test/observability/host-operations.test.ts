import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../../scripts/build-components.ts'
import { type HeraldProcess, runHerald, startHerald } from '../cli/herald-process.ts'
import { freePort } from '../support/free-port.ts'
import { httpCall } from '../support/http-call.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const temporary = temporaryDirectory()
after(() => temporary[Symbol.dispose]())
const directory = temporary.path
const components = await buildComponents(['hello-c', 'whoami-c'])
for (const [name, path] of components) copyFileSync(path, join(directory, `${name}.wasm`))
const entry = (namespace: string, name: string, interfaces: string, more: string) =>
  `{namespace: ${namespace}, package: ${name}, interfaces: [${interfaces}], ${more}}`
const manifest = (name: string, component: string, more: string[] = []) => `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  template:
    spec:
      components: [{name: ${component}, image: "file://${component}.wasm", poolSize: 4}]
      hostInterfaces: [${[entry('wasi', 'http', 'incoming-handler', `config: {host: ${name}.test}`), ...more].join(', ')}]
`
const identity = entry('wasmcloud', 'identity', 'store', 'version: 0.0.1, config: {audiences: sts.amazonaws.com}')
writeFileSync(join(directory, 'hello.yaml'), manifest('hello', 'hello-c'))
writeFileSync(join(directory, 'who.yaml'), manifest('who', 'whoami-c', [identity]))

const startHost = (...args: string[]): HeraldProcess =>
  startHerald(
    [
      'host',
      ...args,
      ...['--http', '127.0.0.1:0', '--health', '127.0.0.1:0', '--output', 'json'],
      ...['--spire-admin-socket', join(directory, 'no.sock')],
    ],
    { cwd: directory },
  )

/** Value of a series in the text of a scrape; its attributes in any order. */
function sampleOf(text: string, name: string, attributes: Record<string, string> = {}): number | undefined {
  const line = text
    .split('\n')
    .find(
      (each) =>
        (each.startsWith(`${name}{`) || each.startsWith(`${name} `)) &&
        Object.entries(attributes).every(([key, value]) => each.includes(`${key}="${value}"`)),
    )
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
}

test('a host is live and ready, and its metrics say what it served and refused, without any token or client-chosen word', async () => {
  await using herald = startHost('-f', 'hello.yaml', '-f', 'who.yaml', '--host-id', 'h1')
  const { http, health } = (await herald.event('ready')) as { http: string; health: string }
  const live = await httpCall(`${health}/livez`)
  assert.deepEqual([live.status, live.json()], [200, { status: 'live', reasons: [] }])
  const ready = await httpCall(`${health}/readyz`)
  assert.deepEqual([ready.status, ready.json()], [200, { status: 'ready', reasons: [] }])

  for (let n = 0; n < 3; n++) assert.equal((await httpCall(http, { host: 'hello.test' })).status, 200)
  await httpCall(http, { host: 'hello.test', method: 'WHATEVER' }).catch(() => {})
  assert.equal((await httpCall(http, { host: 'nobody.test' })).status, 404)
  assert.ok((await httpCall(http, { host: 'who.test' })).status >= 400)

  const { text, status } = await httpCall(`${health}/metrics`)
  assert.equal(status, 200)
  const workload = { herald_workload_namespace: 'team', herald_workload_name: 'hello' }
  const seen = {
    answered: sampleOf(text, 'http_server_request_duration_seconds_count', {
      http_request_method: 'GET',
      http_response_status_code: '200',
    }),
    unrouted: sampleOf(text, 'http_server_request_duration_seconds_count', { http_response_status_code: '404' }),
    requests: sampleOf(text, 'herald_cell_requests_total', workload),
    traps: sampleOf(text, 'herald_cell_traps_total', workload),
    kills: sampleOf(text, 'herald_cell_watchdog_kills_total', workload),
    running: sampleOf(text, 'herald_workload_count', { herald_workload_state: 'running' }),
    cached: sampleOf(text, 'herald_svid_cached'),
    spire: sampleOf(text, 'herald_spire_ready'),
  }
  assert.deepEqual(seen, {
    answered: 3,
    unrouted: 1,
    requests: 3,
    traps: 0,
    kills: 0,
    running: 2,
    cached: 0,
    spire: 0,
  })
  assert.ok(sampleOf(text, 'herald_identity_refusals_total', { error_type: 'ERR_SVID_TIMEOUT' })! >= 1, text)
  assert.ok(sampleOf(text, 'herald_cell_instances', workload)! >= 1)
  assert.ok(sampleOf(text, 'process_memory_usage_bytes')! > 50e6)
  for (const thread of ['control', 'ingress-0'])
    assert.ok(sampleOf(text, 'nodejs_eventloop_utilization_ratio', { herald_thread: thread })! >= 0, thread)
  assert.match(text, /^target_info\{.*service_instance_id="h1"/m)
  const samples = text.split('\n').filter((line) => !line.startsWith('#'))
  assert.doesNotMatch(samples.join('\n'), /WHATEVER|nobody|eyJ/)
  assert.equal(sampleOf(text, 'herald_lattice_connected'), undefined, 'absent without --nats')

  assert.equal((await httpCall(`${health}/livez`, { method: 'POST' })).status, 405)
  assert.equal((await httpCall(`${health}/other`)).status, 404)
  herald.kill('SIGTERM')
  assert.equal((await herald.exited).exitCode, 0)
})

test('after SIGTERM a host is not ready, still live, finishes what is in flight under load, and ends with 0', async () => {
  await using herald = startHost('-f', 'hello.yaml', '-f', 'who.yaml')
  const { http, health } = (await herald.event('ready')) as { http: string; health: string }
  // It waits some seconds for an identity: the drain lasts that long.
  const slow = httpCall(http, { host: 'who.test' })
  let signalled = false
  let running = true
  const outcomes = {
    before: 0,
    failedBefore: [] as string[],
    refusedAfter: 0,
    servedAfter: 0,
    otherAfter: [] as string[],
  }
  const clients = Array.from({ length: 16 }, async () => {
    while (running) {
      const wasBefore = !signalled
      const outcome = await httpCall(http, { host: 'hello.test' }).then(
        ({ status }) => String(status),
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      )
      if (wasBefore && !signalled) outcomes.before += 1
      if (wasBefore && outcome !== '200' && !(signalled && outcome === '503')) outcomes.failedBefore.push(outcome)
      if (!wasBefore && outcome === '200') outcomes.servedAfter += 1
      // A connection that is open without a request, or not yet accepted, when the listener closes, is reset by the kernel.
      else if (!wasBefore && ['503', 'ECONNREFUSED', 'ECONNRESET'].includes(outcome)) outcomes.refusedAfter += 1
      else if (!wasBefore) outcomes.otherAfter.push(outcome)
      if (!wasBefore) await sleep(20)
    }
  })
  await sleep(1_000)
  signalled = true
  herald.kill('SIGTERM')
  const sentAt = performance.now()
  let notReadyMs = 0
  for (; notReadyMs === 0; await sleep(5)) {
    const { status, json } = await httpCall(`${health}/readyz`)
    if (status === 200) continue
    notReadyMs = performance.now() - sentAt
    assert.deepEqual(json(), { status: 'not ready', reasons: ['the host is ending'] })
  }
  assert.equal((await httpCall(`${health}/livez`)).status, 200, 'nobody is to kill it while it drains')
  const answered = await slow
  assert.match(answered.text, /identity/, 'what was in flight was answered by the component, not cut')
  const { exitCode, stderr } = await herald.exited
  running = false
  await Promise.all(clients)
  assert.equal(exitCode, 0, stderr)
  assert.deepEqual([outcomes.failedBefore, outcomes.otherAfter], [[], []])
  assert.ok(outcomes.before > 50 && outcomes.refusedAfter > 0, JSON.stringify(outcomes))
  console.log(
    `drain: not ready ${notReadyMs.toFixed(0)} ms after SIGTERM; ${outcomes.before} requests before it, 0 failed; ended after ${((performance.now() - sentAt) / 1000).toFixed(1)} s`,
  )
})

test('with --drain-delay nobody who asks /readyz loses a request', async () => {
  await using herald = startHost('-f', 'hello.yaml', '--drain-delay', '1s')
  const { http, health } = (await herald.event('ready')) as { http: string; health: string }
  // What a load balancer does: it looks every 100 ms, and sends nothing more once the host is not ready.
  let ready = true
  const prober = (async () => {
    for (; ready; await sleep(100)) ready = (await httpCall(`${health}/readyz`)).status === 200
  })()
  const outcomes: string[] = []
  let signalled = false
  let afterSignal = 0
  const clients = Array.from({ length: 16 }, async () => {
    while (ready) {
      if (signalled) afterSignal += 1
      outcomes.push(
        await httpCall(http, { host: 'hello.test' }).then(
          ({ status }) => String(status),
          (error) => String(error),
        ),
      )
    }
  })
  await sleep(500)
  signalled = true
  herald.kill('SIGTERM')
  await Promise.all([prober, ...clients])
  assert.equal((await herald.exited).exitCode, 0)
  assert.deepEqual(
    outcomes.filter((outcome) => outcome !== '200'),
    [],
  )
  assert.ok(afterSignal > 0, 'some were sent after SIGTERM')
  console.log(`drain with delay: ${outcomes.length} requests, ${afterSignal} of them after SIGTERM, 0 failed`)
})

test('with --nats a host is ready only once NATS was connected, and stays so when NATS is lost', async () => {
  const nats = await startNats()
  await using _ = nats
  await nats.stop()
  await using herald = startHost('--nats', nats.url)
  const { health } = (await herald.event('ready')) as { health: string }
  const early = await httpCall(`${health}/readyz`)
  assert.deepEqual([early.status, early.json().reasons], [503, ['nats: it has not been connected yet']])
  assert.equal((await httpCall(`${health}/livez`)).status, 200)
  await nats.restart()
  const readyz = async () => (await httpCall(`${health}/readyz`)).status
  for (const until = Date.now() + 20_000; (await readyz()) !== 200; await sleep(50)) assert.ok(Date.now() < until)
  const connected = async () => sampleOf((await httpCall(`${health}/metrics`)).text, 'herald_lattice_connected')
  assert.equal(await connected(), 1)
  await nats.kill()
  for (const until = Date.now() + 20_000; (await connected()) !== 0; await sleep(50)) assert.ok(Date.now() < until)
  assert.equal(await readyz(), 200)
  await nats.restart()
  for (const until = Date.now() + 20_000; (await connected()) !== 1; await sleep(50)) assert.ok(Date.now() < until)
  const { text } = await httpCall(`${health}/metrics`)
  assert.equal(sampleOf(text, 'herald_lattice_reconnects_total'), 1)
  herald.kill('SIGTERM')
  assert.equal((await herald.exited).exitCode, 0)
})

test('an address for probes that is in use ends the host with 4, and names the flag', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const args = ['host', '-f', 'hello.yaml', '--http', '0', '--health', String(port), '--log-level', 'silent']
  const { exitCode, stderr } = await runHerald([...args, '--spire-admin-socket', 'no.sock'], { cwd: directory })
  server.close()
  assert.equal(exitCode, 4)
  assert.match(stderr, new RegExp(`^ERR_HEALTH_LISTEN: .*:${port}.*--health`))
})

test('probes are answered while the workloads are still being started', async () => {
  const port = await freePort()
  await using herald = startHerald(
    [
      ...['host', '-f', 'hello.yaml', '--http', '127.0.0.1:0', '--health', String(port), '--output', 'json'],
      ...['--spire-admin-socket', join(directory, 'no.sock')],
    ],
    { cwd: directory },
  )
  const early = new Set<string>()
  let done = false
  const ready = herald.event('ready').then(() => {
    done = true
  })
  while (!done) {
    const answer = await httpCall(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (answer?.status === 503) early.add(answer.json().reasons.join())
    await sleep(5)
  }
  await ready
  assert.deepEqual([...early], ['http: workloads are being started'])
})
