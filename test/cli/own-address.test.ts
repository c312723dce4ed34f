import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { faultsComponent } from '../engine/guests/build-guest.ts'
import { freePort } from '../support/free-port.ts'
import { httpCall } from '../support/http-call.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type HeraldProcess, runHerald, startHerald } from './herald-process.ts'

const folder = temporaryDirectory()
after(() => folder[Symbol.dispose]())
const directory = folder.path
copyFileSync((await buildComponents(['hello-c'])).get('hello-c') ?? '', join(directory, 'hello.wasm'))
writeFileSync(join(directory, 'guest.wasm'), await faultsComponent())

const listen = (address: string) =>
  `{namespace: herald, package: cell, interfaces: [settings], config: {listen: "${address}"}}`

/** Writes a manifest of one component. @returns the name of its file */
function manifest(name: string, component: string, address: string, replicas = 1): string {
  const text = `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  replicas: ${replicas}
  template:
    spec:
      components: [{name: ${component}, image: "file://${component}.wasm", poolSize: 4}]
      hostInterfaces: [${listen(address)}]
`
  writeFileSync(join(directory, `${name}.yaml`), text)
  return `${name}.yaml`
}

const host = (...args: string[]) => [
  ...['host', ...args, '--http', '127.0.0.1:0', '--output', 'json'],
  ...['--spire-admin-socket', join(directory, 'no.sock')],
]

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await holds())) {
    assert.ok(Date.now() < end, `${what}: not within 30 s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function metrics(url: string): Promise<(series: RegExp) => number> {
  const { text } = await httpCall(`${url}/metrics`)
  return (series) => {
    const line = text.split('\n').find((each) => series.test(each)) ?? ''
    return Number(line.slice(line.lastIndexOf(' ') + 1))
  }
}

/** A request whose body waits for `finish`. */
function slowEcho(url: string) {
  const { promise: answer, resolve, reject } = Promise.withResolvers<string>()
  const outgoing = request(`${url}/echo`, { method: 'POST', agent: false }, (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk) => {
      text += chunk
    })
    response.on('end', () => resolve(`${response.statusCode} ${text}`))
    response.on('error', reject)
  })
  outgoing.on('error', reject)
  outgoing.write('first ')
  return { answer, finish: () => outgoing.end('last') }
}

test('a workload listens where its manifest says and the host allows, alone; its requests are counted, and SIGTERM lets them finish', async () => {
  const [port, other] = [await freePort(), await freePort()]
  const files = [
    manifest('own', 'guest', `${port}`, 2),
    manifest('second', 'hello', `127.0.0.1:${port}`),
    manifest('elsewhere', 'hello', `:${other}`),
  ].flatMap((file) => ['-f', file])
  await using herald = startHerald(host(...files, '--allow-listen', `9,${port}`, '--health', '127.0.0.1:0'), {
    cwd: directory,
  })
  const ready = (await herald.event('ready')) as {
    http: string
    health: string
    components: { workload: string; serves: object[] }[]
    failed: { workload: string; error: { code: string; message: string; hint: string } }[]
  }
  const url = `http://127.0.0.1:${port}`
  assert.deepEqual(
    ready.components.map(({ workload, serves }) => ({ workload, serves })),
    [{ workload: 'team/own', serves: [{ kind: 'listen', url }] }],
  )
  assert.deepEqual(
    ready.failed.map(({ workload, error }) => [workload, error.code]),
    [
      ['team/second', 'ERR_WORKLOAD_LISTEN_TAKEN'],
      ['team/elsewhere', 'ERR_WORKLOAD_LISTEN_DENIED'],
    ],
  )
  assert.match(ready.failed[0]?.error.message ?? '', /^own listens on 127\.0\.0\.1:\d+ already$/)
  assert.match(ready.failed[1]?.error.hint ?? '', new RegExp(`--allow-listen 0\\.0\\.0\\.0:${other}`))

  for (const name of ['one.test', 'another.test'])
    assert.equal((await httpCall(`${url}/hello`, { host: name })).text, '/hello')
  assert.equal((await httpCall(`${ready.http}/hello`)).status, 404, 'the ingress does not know it')
  const slow = slowEcho(url)
  await until('requests are counted', async () => {
    const value = await metrics(ready.health)
    return (
      value(/^herald_cell_requests_total{.*"own"/) === 3 &&
      value(/^herald_cell_active_requests{.*"own"/) === 1 &&
      value(/^http_server_active_requests{/) === 1 &&
      value(/^http_server_request_duration_seconds_count{.*"GET".*"200"/) === 2
    )
  })
  herald.kill('SIGTERM')
  await until('it drains', () => herald.stderr.includes('"event":"workload.stopping"'))
  slow.finish()
  assert.equal(await slow.answer, '200 first last')
  assert.equal((await herald.exited).exitCode, 0, herald.stderr)
  await assert.rejects(httpCall(url), 'the port is free again')
})

test('without --allow-listen such a workload is refused, and the error says what to do', async () => {
  const port = await freePort()
  const { exitCode, stderr } = await runHerald(
    host('-f', manifest('denied', 'hello', `${port}`), '--log-level', 'silent'),
    { cwd: directory },
  )
  assert.equal(exitCode, 2)
  assert.match(
    stderr,
    new RegExp(`ERR_WORKLOAD_LISTEN_DENIED.*this host allows no address.*--allow-listen 127\\.0\\.0\\.1:${port}`, 's'),
  )
})

test('herald dev allows loopback, says where it listens, and a new version takes the address over', async () => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const file = manifest('dev', 'hello', `${port}`)
  await using herald: HeraldProcess = startHerald(['dev', file, '--http', '0', '--output', 'json'], { cwd: directory })
  const { components } = (await herald.event('ready')) as { components: { urls: string[] }[] }
  assert.deepEqual(components[0]?.urls, [url])
  assert.equal((await httpCall(url)).text, 'hello\n')
  manifest('dev', 'guest', `${port}`)
  await herald.event('reloaded')
  await until('the old version has stopped', () => herald.stderr.includes('"event":"workload.stopped"'))
  assert.equal((await httpCall(`${url}/new`)).text, '/new')
})
