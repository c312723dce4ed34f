import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { otlpSettings } from '../../src/cli/otlp-settings.ts'
import { type SpanDefinition, spanCatalog } from '../../src/observability/span-catalog.ts'
import { directoriesIn, startHerald } from '../cli/herald-process.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { freePort } from '../support/free-port.ts'
import { startNats } from '../support/nats.ts'
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { scanForTokens } from '../support/scan-for-tokens.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const temporary = temporaryDirectory()
after(() => temporary[Symbol.dispose]())
const directory = temporary.path

async function serve(
  answer: (request: IncomingMessage, body: string) => number,
): Promise<{ url: string; authority: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text) => {
      body += text
    })
    request.on('end', () => response.writeHead(answer(request, body), { 'content-type': 'application/json' }).end('{}'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${authority}`,
    authority,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function get(url: string, headers: Record<string, string>): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(`${url}/path?token=in-the-query`, { headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', reject).end()
  })
}

writeFileSync(join(directory, 'relay.wasm'), await guestInC(join(import.meta.dirname, 'guests'), 'relay'))
const manifest = (authority: string, listen?: number): string => {
  writeFileSync(
    join(directory, 'relay.yaml'),
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: relay, namespace: team}
spec:
  template:
    spec:
      components:
        - name: relay
          image: "file://relay.wasm"
          localResources:
            allowedHosts: ["http://${authority}"]
            environment: {config: {TO: "${authority}"}}
      hostInterfaces:
        - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: relay.test}}
${listen === undefined ? '' : `        - {namespace: herald, package: cell, interfaces: [settings], config: {listen: "${listen}"}}`}
`,
  )
  return 'relay.yaml'
}
const startHost = (authority: string, args: string[], env: Record<string, string> = {}, listen?: number) =>
  startHerald(
    [
      ...['host', '-f', manifest(authority, listen), '--http', '127.0.0.1:0', '--output', 'json', ...args],
      ...['--spire-admin-socket', join(directory, 'no.sock')],
    ],
    { cwd: directory, env },
  )
/** A span is one of the catalog, and has attributes of it only. */
function assertInCatalog(name: string, attributes: Readonly<Record<string, unknown>>): void {
  const known = Object.entries<SpanDefinition>(spanCatalog).filter(
    ([type, { shown = type }]) =>
      name === shown || (shown === 'GET' && name === '_OTHER') || name.split(' ')[0] === shown.split(' ')[0],
  )
  assert.notEqual(known.length, 0, `${name} is a span of the catalog`)
  const allowed = new Set(known.flatMap(([, each]) => Object.keys(each.attributes)))
  for (const attribute of Object.keys(attributes)) assert.ok(allowed.has(attribute), `${name}: ${attribute}`)
}

const trace = '0af7651916cd43dd8448eb211c80319c'
const caller = '00f067aa0ba902b7'

test('traces, metrics and the log of a host come to a receiver of OTLP, and one trace leads through ingress and guest', async () => {
  await using collector = await startOtlpReceiver()
  const port = await freePort()
  const seen: { traceparent: unknown; tracestate: unknown }[] = []
  await using upstream = await serve(({ headers: { traceparent, tracestate } }) => {
    seen.push({ traceparent, tracestate })
    return 203
  })
  const variables = {
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test%20run',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
  }
  const args = ['--otlp-endpoint', collector.url, '--allow-listen', `${port}`]
  await using herald = startHost(upstream.authority, args, variables, port)
  const { http } = (await herald.event('ready')) as { http: string }
  const answer = await get(http, {
    ...{ host: 'relay.test', authorization: 'Bearer not-for-spans', tracestate: 'vendor=1' },
    traceparent: `00-${trace}-${caller}-01`,
  })
  assert.equal(answer.status, 203, herald.stderr)

  const ofTrace = () => collector.spans().filter(({ traceId }) => traceId === trace)
  await until('both spans came', () => ofTrace().length >= 2, 30_000)
  const [server, client, ...others] = ofTrace().toSorted((a, b) => a.kind - b.kind)
  assert.deepEqual(others, [])
  assert.deepEqual(
    [server?.name, server?.kind, server?.parentSpanId, client?.name, client?.kind, client?.parentSpanId],
    ['GET', 2, caller, 'GET', 3, server?.spanId],
  )
  assert.deepEqual(server?.attributes, {
    'http.request.method': 'GET',
    'http.response.status_code': 203,
    'url.scheme': 'http',
    'server.address': 'relay.test',
  })
  assert.deepEqual(client?.attributes, {
    'http.request.method': 'GET',
    'http.response.status_code': 203,
    'url.scheme': 'http',
    'server.address': upstream.authority,
  })
  assert.equal(answer.text, `00-${trace}-${server?.spanId}-01`, 'the guest sees the ingress as its caller')
  assert.deepEqual(seen, [{ traceparent: `00-${trace}-${client?.spanId}-01`, tracestate: 'vendor=1' }])

  // Not sampled by the caller: passed on, and no span.
  const unsampled = trace.replace('0af', '1af')
  await get(http, { host: 'relay.test', traceparent: `00-${unsampled}-${caller}-00` })
  assert.match(String(seen[1]?.traceparent), new RegExp(`^00-${unsampled}-(?!${caller})[0-9a-f]{16}-00$`))
  // None, or what is none: a trace begins here, and its state is not passed on.
  await get(http, { host: 'relay.test', traceparent: `00-${'0'.repeat(32)}-${caller}-01`, tracestate: 'vendor=2' })
  await until(
    'the span of the new trace came',
    () => collector.spans().filter(({ name, kind }) => name === 'GET' && kind === 3).length === 2,
    30_000,
  )
  assert.equal(seen[2]?.tracestate, undefined)
  assert.doesNotMatch(String(seen[2]?.traceparent), /0{32}/)
  assert.ok(!collector.spans().some(({ traceId }) => traceId === unsampled))
  // Where the workload listens itself it is the same.
  const direct = trace.replace('0af', '2af')
  const answered = await get(`http://127.0.0.1:${port}`, { traceparent: `00-${direct}-${caller}-01` })
  const ofDirect = () => collector.spans().filter(({ traceId }) => traceId === direct)
  await until('both spans of the direct request came', () => ofDirect().length >= 2, 30_000)
  const [own, asked] = ofDirect().toSorted((a, b) => a.kind - b.kind)
  assert.deepEqual([own?.kind, own?.parentSpanId, asked?.kind, asked?.parentSpanId], [2, caller, 3, own?.spanId])
  assert.deepEqual(own?.attributes, { ...server?.attributes, 'server.address': '127.0.0.1' })
  assert.equal(answered.text, `00-${direct}-${own?.spanId}-01`)

  const withCells = () =>
    collector.received('metrics').filter((each) => JSON.stringify(each).includes('"herald.cell.requests"'))
  await until('metrics came', () => withCells().length > 0, 30_000)
  const metrics = withCells().at(-1)
  const resource = Object.fromEntries(
    metrics.resourceMetrics[0].resource.attributes.map(
      ({ key, value }: { key: string; value: { stringValue: string } }) => [key, value.stringValue],
    ),
  )
  assert.equal(resource['service.name'], 'herald-host')
  assert.equal(resource['deployment.environment.name'], 'test run')
  herald.kill('SIGTERM')
  const { exitCode, stderr } = await herald.exited
  assert.equal(exitCode, 0, stderr)
  const logs = collector.received('logs').flatMap((each) => each.resourceLogs[0].scopeLogs[0].logRecords)
  assert.ok(logs.some(({ eventName, severityText }) => eventName === 'host.draining' && severityText === 'INFO'))
  assert.deepEqual(scanForTokens(collector.text(), { known: ['not-for-spans', 'in-the-query', 'secret=query'] }), [])
  for (const { name, attributes } of collector.spans()) assertInCatalog(name, attributes)
})

test('without a receiver a host serves and ends as ever, says so once, and counts what it dropped', async () => {
  await using upstream = await serve(() => 200)
  await using nobody = await serve(() => 200)
  const { url } = nobody
  await nobody[Symbol.asyncDispose]()
  await using herald = startHost(upstream.authority, ['--otlp-endpoint', url, '--health', '127.0.0.1:0'], {
    OTEL_EXPORTER_OTLP_TIMEOUT: '300',
  })
  const { http, health } = (await herald.event('ready')) as { http: string; health: string }
  for (let n = 0; n < 5; n++) assert.equal((await get(http, { host: 'relay.test' })).status, 200)
  await until('it says so', () => herald.stderr.includes('"event":"otlp.failed"'), 60_000)
  const text = await (await fetch(`${health}/metrics`)).text()
  assert.match(text, /^herald_telemetry_dropped_total\{?.*\}? \d+/m)
  herald.kill('SIGTERM')
  const { exitCode, stderr } = await herald.exited
  assert.equal(exitCode, 0, stderr)
  assert.equal(stderr.split('"event":"otlp.failed"').length, 2)
})

test('a collector that takes the connection and never answers, or asks to be tried again, does not hold up the end of a host', async () => {
  await using upstream = await serve(() => 200)
  const held: unknown[] = []
  const silent = createServer((request, response) => {
    if (request.url === '/v1/traces') held.push(response)
    else response.writeHead(503, { 'retry-after': '500' }).end()
  })
  await using _ = {
    async [Symbol.asyncDispose]() {
      silent.closeAllConnections()
      await new Promise((resolve) => silent.close(resolve))
    },
  }
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  await using herald = startHost(upstream.authority, ['--otlp-endpoint', `http://127.0.0.1:${port}`], {
    // Whoever waited for either would not end within this test.
    OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
  })
  const { http } = (await herald.event('ready')) as { http: string }
  assert.equal((await get(http, { host: 'relay.test' })).status, 200)
  await until('an export is under way', () => held.length > 0, 30_000)
  herald.kill('SIGTERM')
  assert.equal((await herald.exited).exitCode, 0, herald.stderr)
})

const cameFrom = (collector: OtlpReceiver, instance: string) =>
  (['traces', 'metrics', 'logs'] as const).filter((signal) =>
    JSON.stringify(collector.received(signal)).includes(instance),
  )

test('herald dev and herald up send to a collector too, by the option or a variable', async () => {
  await using collector = await startOtlpReceiver()
  await using nats = await startNats()
  await using upstream = await serve(() => 200)
  const env = { ...directoriesIn(directory), OTEL_METRIC_EXPORT_INTERVAL: '200' }
  const serving = ['--http', '127.0.0.1:0', '--output', 'json']
  await using dev = startHerald(['dev', manifest(upstream.authority), ...serving, '--otlp-endpoint', collector.url], {
    cwd: directory,
    env: { ...env, OTEL_SERVICE_NAME: 'of-dev' },
  })
  await using up = startHerald(['up', '--nats', nats.url, ...serving, '--friendly-name', 'up-of-a-test'], {
    cwd: directory,
    env: { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'of-up' },
  })
  const [ready] = await Promise.all([dev.event('ready'), up.event('ready')])
  assert.equal((await get(String(ready.http), { host: 'relay.test' })).status, 200)
  await until('all came of dev', () => cameFrom(collector, 'of-dev').length === 3, 30_000)
  await until('what there is came of up', () => cameFrom(collector, 'of-up').length >= 2, 30_000)
  for (const each of [dev, up]) each.interrupt()
  for (const { exitCode, stderr } of await Promise.all([dev.exited, up.exited])) assert.equal(exitCode, 0, stderr)
})

const base = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318/' }
for (const [variables, expected] of [
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /OTEL_EXPORTER_OTLP_ENDPOINT cannot be "collector:4318"/],
  [{ ...base, OTEL_TRACES_SAMPLER: 'jaeger_remote' }, /OTEL_TRACES_SAMPLER/],
  [{ ...base, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' }, /OTEL_TRACES_SAMPLER_ARG/],
  [{ ...base, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTEL_EXPORTER_OTLP_PROTOCOL/],
  [{ ...base, OTEL_METRICS_EXPORTER: 'prometheus' }, /OTEL_METRICS_EXPORTER/],
  [{ ...base, OTEL_RESOURCE_ATTRIBUTES: 'a=%zz' }, /OTEL_RESOURCE_ATTRIBUTES/],
] as const) {
  test(`${Object.entries(variables).at(-1)?.join('=')} is refused by its name`, () =>
    assert.throws(() => otlpSettings(undefined, variables), expected))
}

test('nothing is sent unless it is asked for, and each signal goes where its variable says', () => {
  assert.equal(otlpSettings(undefined, { OTEL_SERVICE_NAME: 'x' }), undefined)
  assert.equal(otlpSettings(undefined, { ...base, OTEL_SDK_DISABLED: 'true' }), undefined)
  const settings = otlpSettings(undefined, {
    ...base,
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://127.0.0.1:9/m',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
  })
  assert.deepEqual(settings?.endpoints, {
    traces: 'http://127.0.0.1:4318/v1/traces',
    metrics: 'http://127.0.0.1:9/m',
    logs: undefined,
  })
  assert.deepEqual(settings?.sampling, { parentBased: true, ratio: 0.25 })
})
