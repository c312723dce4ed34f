import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { otlpSettings } from '../../src/cli/otlp-settings.ts'
import { type SpanDefinition, spanCatalog } from '../../src/observability/span-catalog.ts'
import { directoriesIn, startHerald } from '../cli/herald-process.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { freePort } from '../support/free-port.ts'
import { startNats } from '../support/nats.ts'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { scanForTokens } from '../support/scan-for-tokens.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const temporary = temporaryDirectory()
after(() => temporary[Symbol.dispose]())
const directory = temporary.path

async function serve(
  answer: (request: IncomingMessage, body: string) => number,
  text: () => string = () => '{}',
): Promise<{ url: string; authority: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text) => {
      body += text
    })
    request.on('end', () =>
      response.writeHead(answer(request, body), { 'content-type': 'application/json' }).end(text()),
    )
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

function get(
  url: string,
  headers: Record<string, string>,
  path = '/path?token=in-the-query',
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(`${url}${path}`, { headers, agent: false }, (response) => {
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

/** A workload whose requests are signed with a token from an exchange, one that gets a token, and one that asks for another than it may. */
function identitiesManifest(upstream: string, tokenEndpoint: string): string {
  const exchanged = `{host: "http://${upstream}", provider: oidc, audience: sso, token-endpoint: "${tokenEndpoint}"}`
  const store = '{namespace: wasmcloud, package: identity, interfaces: [store], config: {audiences: vault}}'
  const signing = `{namespace: herald, package: egress, interfaces: [signing], name: upstream, config: ${exchanged}}`
  const workload = (
    name: string,
    image: string,
    variable: string,
    entry: string,
  ) => `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: team}
spec:
  template:
    spec:
      components:
        - name: ${name}
          image: "file://${image}.wasm"
          localResources:
            allowedHosts: ["http://${upstream}"]
            environment: {config: {${variable}}}
      hostInterfaces:
        - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${name}.test}}
        - ${entry}
`
  writeFileSync(
    join(directory, 'identities.yaml'),
    [
      workload('signed', 'relay', `TO: "${upstream}"`, signing),
      workload('asking', 'whoami', 'HERALD_AUDIENCE: vault', store),
      workload('refused', 'whoami', 'HERALD_AUDIENCE: not-allowed', store),
    ].join('---\n'),
  )
  return 'identities.yaml'
}

test('herald dev and herald up send to a collector too; what identities are used for is told under the request, never the tokens', async () => {
  await using collector = await startOtlpReceiver()
  await using nats = await startNats()
  let authorization = ''
  await using upstream = await serve(({ headers }) => {
    authorization = headers.authorization ?? ''
    return 200
  })
  await using sts = await serve(
    () => 200,
    () => JSON.stringify({ access_token: 'secret-of-the-exchange', token_type: 'Bearer', expires_in: 3600 }),
  )
  copyFileSync((await buildComponents(['whoami-c'])).get('whoami-c') ?? '', join(directory, 'whoami.wasm'))
  const env = { ...directoriesIn(directory), OTEL_METRIC_EXPORT_INTERVAL: '200' }
  const serving = ['--http', '127.0.0.1:0', '--output', 'json']
  const file = identitiesManifest(upstream.authority, `${sts.url}/token`)
  await using dev = startHerald(['dev', file, ...serving, '--otlp-endpoint', collector.url], {
    cwd: directory,
    env: { ...env, OTEL_SERVICE_NAME: 'of-dev' },
  })
  await using up = startHerald(['up', '--nats', nats.url, ...serving, '--friendly-name', 'up-of-a-test'], {
    cwd: directory,
    env: { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'of-up' },
  })
  const [ready] = await Promise.all([dev.event('ready'), up.event('ready')])
  const asked = async (host: string, id: string, path?: string) =>
    (await get(String(ready.http), { host: `${host}.test`, traceparent: `00-${id}-${caller}-01` }, path)).status
  const [ofSigned, ofAsking, ofRefused] = ['3', '4', '5'].map((digit) => trace.replace('0', digit)) as [
    string,
    string,
    string,
  ]
  assert.equal(await asked('signed', ofSigned), 200, dev.stderr)
  assert.equal(authorization, 'Bearer secret-of-the-exchange')
  assert.equal(await asked('asking', ofAsking, '/'), 200)
  assert.equal(await asked('refused', ofRefused, '/'), 403)

  /** `GET > herald.token.get > …`, one for each span of a trace, from its beginning on. */
  const pathsOf = (id: string): string[] => {
    const spans = collector.spans().filter(({ traceId }) => traceId === id)
    const pathOf = ({ name, kind, parentSpanId }: ReceivedSpan): string => {
      const parent = spans.find(({ spanId }) => spanId === parentSpanId)
      return `${parent === undefined ? '' : `${pathOf(parent)} > `}${name}${kind === 3 && name === 'GET' ? ' client' : ''}`
    }
    return spans.map(pathOf).toSorted()
  }
  const sign = 'GET > GET client > herald.egress.sign'
  for (const [id, expected] of [
    [
      ofSigned,
      ['GET', 'GET > GET client', sign, `${sign} > herald.credentials.exchange`, `${sign} > herald.svid.fetch`],
    ],
    [ofAsking, ['GET', 'GET > herald.token.get', 'GET > herald.token.get > herald.svid.fetch']],
    [ofRefused, ['GET', 'GET > herald.token.get']],
  ] as const) {
    await until('all spans came', () => pathsOf(id).length >= expected.length, 30_000)
    assert.deepEqual(pathsOf(id), expected)
  }
  const one = (id: string, name: string) =>
    collector.spans().find((span) => span.traceId === id && span.name === name) as ReceivedSpan
  const component = (name: string) => ({
    ...{ 'herald.workload.namespace': 'team', 'herald.workload.name': name, 'herald.component.name': name },
  })
  assert.deepEqual(one(ofSigned, 'herald.egress.sign').attributes, {
    ...component('signed'),
    ...{ 'herald.egress.entry': 'upstream', 'herald.egress.method': 'bearer', 'server.address': upstream.authority },
  })
  assert.deepEqual(one(ofSigned, 'herald.credentials.exchange').attributes, {
    ...component('signed'),
    ...{ 'herald.binding': 'upstream', 'herald.credentials.provider': 'oidc' },
  })
  assert.deepEqual(one(ofAsking, 'herald.token.get').attributes, { ...component('asking'), 'herald.audience': 'vault' })
  const refusal = { ...component('refused'), 'error.type': 'ERR_AUDIENCE_NOT_ALLOWED' }
  assert.deepEqual(one(ofRefused, 'herald.token.get').attributes, refusal)
  assert.equal(one(ofRefused, 'herald.token.get').failed, 'ERR_AUDIENCE_NOT_ALLOWED')
  // How a workload came to serve is a trace of its own.
  const start = () =>
    collector
      .spans()
      .find(
        ({ name, attributes }) => name === 'herald.workload.start' && attributes['herald.workload.name'] === 'signed',
      )
  await until('the start came', () => start() !== undefined, 30_000)
  assert.deepEqual(
    pathsOf(start()?.traceId ?? ''),
    ['', ' > herald.cell.start', ' > herald.component.compile', ' > herald.image.pull'].map(
      (rest) => `herald.workload.start${rest}`,
    ),
  )

  await until('all came of dev', () => cameFrom(collector, 'of-dev').length === 3, 30_000)
  await until('what there is came of up', () => cameFrom(collector, 'of-up').length >= 2, 30_000)
  for (const each of [dev, up]) each.interrupt()
  for (const { exitCode, stderr } of await Promise.all([dev.exited, up.exited])) assert.equal(exitCode, 0, stderr)
  const secrets = ['secret-of-the-exchange', 'in-the-query', 'secret=query', '/relayed']
  assert.deepEqual(scanForTokens(collector.text(), { known: secrets }), [])
  for (const { name, attributes } of collector.spans()) assertInCatalog(name, attributes)
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
