import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'nats'
import { buildComponents } from '../../scripts/build-components.ts'
import type { FleetView } from '../../src/console/fleet-view.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import { startLatticeHouse } from '../lattice-cli/lattice-house.ts'
import { testClient } from '../oci/oci-test-setup.ts'
import { httpCall } from '../support/http-call.ts'

// A real NATS, a real host with a workload, and a stranger on the lattice who answers as a host with hostile names.
const house = await startLatticeHouse()
const stranger = await connect({ servers: house.nats.url })
after(async () => {
  await stranger.close()
  await house[Symbol.asyncDispose]()
})
const host = await house.host('seen', '--label', 'zone=a')
await house.json('deploy', '-f', house.manifest('shown', { replicas: 1 }))
/** Writes one more entry of hostInterfaces into a manifest. */
function withEntry(file: string, entry: string): string {
  const text = readFileSync(file, 'utf8').replace('hostInterfaces: [', `hostInterfaces: [${entry}, `)
  writeFileSync(file, text)
  return file
}
const store = 'namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: other}'
const asking = withEntry(house.manifest('asking', { image: house.image('whoami-c') }), `{${store}}`)
await house.json('deploy', '-f', asking)
const upstream = createServer((_, response) => response.end('there'))
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
after(() => upstream.close())
const client = await testClient()
for (const [name, bytes] of [
  ['relay', await guestInC(join(import.meta.dirname, '../observability/guests'), 'relay')],
  ['messaging-c', readFileSync((await buildComponents(['messaging-c'])).get('messaging-c') ?? '')],
] as const)
  await client.push(house.image(name), bytes, { signal: AbortSignal.timeout(30_000) })
const authority = `127.0.0.1:${(upstream.address() as AddressInfo).port}`
const relaying = house.manifest('relaying', { image: house.image('relay'), environment: `TO: "${authority}"` })
writeFileSync(
  relaying,
  readFileSync(relaying, 'utf8').replace(
    'localResources: {',
    `localResources: {allowedHosts: ["http://${authority}"], `,
  ),
)
await house.json('deploy', '-f', relaying)
const subjects = 'config: {subscriptions: "news.*", publish: "replies.*"}'
const talking = withEntry(
  house.manifest('talking', { image: house.image('messaging-c') }),
  `{namespace: wasmcloud, package: messaging, interfaces: [consumer, handler], version: 0.2.0, ${subjects}}`,
)
await house.json('deploy', '-f', talking)
const hostile = `</script><img src=x onerror=alert(1)>\u202e${'x'.repeat(5_000)}`
stranger.subscribe('herald.hosts', {
  callback: (_, message) => {
    message.respond(
      JSON.stringify({
        heartbeat: { id: 'evil', friendlyName: hostile, labels: { [hostile]: hostile } },
        url: 'javascript:alert(1)',
      }),
    )
    message.respond('{"heartbeat": {"id": "a.b.>"}}')
    message.respond('not JSON')
  },
})
stranger.subscribe('herald.host.evil.activity', {
  callback: (_, message) => void message.respond('{"workloads":[{}]}'),
})
stranger.subscribe('herald.host.evil.audit', {
  callback: (_, message) => void message.respond(JSON.stringify({ events: [{ version: 1, event: hostile }] })),
})
stranger.subscribe('herald.host.evil.workloads', {
  callback: (_, message) => void message.respond(JSON.stringify({ surprise: true })),
})
const served = house.start('console', '--listen', '127.0.0.1:0', '--output', 'json')
after(() => served[Symbol.asyncDispose]())
const url = String((await served.event('ready')).url)

type Answer = { status: number; headers: Record<string, string | string[] | undefined>; body: string }

function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    asked.on('error', reject).end()
  })
}
const view = async (): Promise<FleetView> => JSON.parse((await ask('/api/fleet')).body)

test('the page runs its own script and style only, by their digests, and loads nothing', async () => {
  const { status, headers, body } = await ask('/')
  assert.equal(status, 200)
  const policy = String(headers['content-security-policy'])
  for (const [element, directive] of [
    ['script', 'script-src'],
    ['style', 'style-src'],
  ] as const) {
    const text = new RegExp(`<${element}>([^]*)</${element}>`).exec(body)?.[1] ?? ''
    assert.ok(text.length > 500, element)
    const digest = createHash('sha256').update(text).digest('base64')
    assert.ok(policy.includes(`${directive} 'sha256-${digest}'`), policy)
  }
  assert.match(policy, /^default-src 'none';/)
  assert.doesNotMatch(policy, /unsafe|\*|https?:/)
  assert.doesNotMatch(body, /\son[a-z]+=|\sstyle=|https?:\/\/|innerHTML|insertAdjacentHTML|document\.write|eval\(/)
  assert.equal(headers['x-content-type-options'], 'nosniff')
})

test('a real host and its workload are shown with what they are', async () => {
  const { hosts, workloads } = await view()
  const shown = hosts.find(({ id }) => id === host.id)
  assert.equal(shown?.name, 'seen')
  assert.equal(shown?.state, 'ready')
  assert.ok(shown?.labels.includes('zone=a'), String(shown?.labels))
  assert.ok(Date.now() - (shown?.lastHeartbeatMs ?? 0) < 10_000)
  const [workload, ...others] = workloads.filter(({ name }) => name === 'shown')
  assert.deepEqual(others, [])
  assert.equal(`${workload?.namespace}/${workload?.name} ${workload?.state}`, 'default/shown running')
  assert.match(workload?.components[0]?.digest ?? '', /^sha256:[0-9a-f]{64}$/)
  assert.equal(workload?.components[0]?.serves, 'http shown.example')
})

test('requests, their rate, and what happened with identities are shown, of hosts that tell them', async () => {
  for (const name of ['shown', 'shown', 'asking']) await httpCall(host.url, { host: `${name}.example` })
  let last: FleetView | undefined
  for (const untilMs = Date.now() + 30_000; ; ) {
    last = await view()
    const [shown] = last.workloads.filter(({ name }) => name === 'shown')
    if (shown?.requests === 2 && shown.ratePerS !== undefined && last.events.length > 0) break
    assert.ok(Date.now() < untilMs, JSON.stringify(last))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const [event] = last.events
  assert.deepEqual(
    { ...event, atMs: 0, reason: event?.reason.split(':')[0] },
    {
      ...{ atMs: 0, hostName: 'seen', event: 'identity.refused', component: 'default/asking' },
      ...{ about: 'sts.amazonaws.com', spiffeId: '', reason: 'ERR_AUDIENCE_NOT_ALLOWED', count: 1, tokenId: '' },
    },
  )
  const [edge] = last.edges.filter(({ from }) => from === 'default/asking')
  assert.deepEqual(
    { ...edge, lastAtMs: 0 },
    {
      ...{ from: 'default/asking', kind: 'audience', to: 'sts.amazonaws.com', count: 0, refused: 1, spiffeId: '' },
      lastAtMs: 0,
    },
  )
})

test('requests that nobody signs are shown by the name of their host, and messages by the subjects of the manifest', async () => {
  assert.equal((await httpCall(`${host.url}/path?token=in-the-query`, { host: 'relaying.example' })).status, 200)
  for (const to of ['one', 'two']) stranger.publish('news.today', `forward replies.${to}`)
  const wanted = [
    { from: 'default/relaying', kind: 'host', to: '127.0.0.1', count: 1 },
    { from: 'default/talking', kind: 'handled', to: 'news.*', count: 2 },
    { from: 'default/talking', kind: 'published', to: 'replies.*', count: 2 },
  ]
  const ofThese = async () =>
    (await view()).edges
      .filter(({ from }) => from !== 'default/asking')
      .map(({ from, kind, to, count }) => ({ from, kind, to, count }))
      .toSorted((a, b) => (a.kind < b.kind ? 1 : -1))
  const expected = wanted.toSorted((a, b) => (a.kind < b.kind ? 1 : -1))
  for (const untilMs = Date.now() + 30_000; ; ) {
    const edges = await ofThese()
    if (JSON.stringify(edges) === JSON.stringify(expected)) break
    assert.ok(Date.now() < untilMs, JSON.stringify(edges))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.doesNotMatch(JSON.stringify(await view()), /in-the-query|relayed|secret=query|replies\.one/)
})

test('what a stranger answers is bounded, without characters that hide, and refused where it is no answer', async () => {
  const { hosts } = await view()
  assert.deepEqual(hosts.map(({ id }) => id).toSorted(), [host.id, 'evil'].toSorted())
  const evil = hosts.find(({ id }) => id === 'evil')
  assert.ok((evil?.name.length ?? 0) <= 257)
  assert.match(evil?.name ?? '', /^<\/script><img src=x onerror=alert\(1\)>\uFFFDxxx/)
  assert.match(evil?.problem ?? '', /surprise: unknown field/)
})

test('who answers as a host that is there already makes it look doubtful, and doubles nothing', async () => {
  const subscription = stranger.subscribe('herald.hosts', {
    callback: (_, message) =>
      void message.respond(JSON.stringify({ heartbeat: { id: host.id, friendlyName: 'seen' } })),
  })
  await stranger.flush()
  const { hosts, workloads } = await view()
  subscription.unsubscribe()
  await stranger.flush()
  const same = hosts.filter(({ id }) => id === host.id)
  assert.deepEqual(
    same.map(({ problem }) => problem),
    ['2 answer as this host'],
  )
  assert.equal(workloads.length, 4)
})

test('events bring the hosts, and bring them again', async () => {
  const ending = new AbortController()
  const response = await fetch(new URL('/api/events', url), { signal: ending.signal })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.split('event: fleet\n').length > 2 && text.endsWith('\n\n')) break
  }
  ending.abort()
  for (const event of text.trim().split('\n\n')) {
    const [name, data, ...more] = event.split('\n')
    assert.equal(name, 'event: fleet')
    assert.deepEqual(more, [])
    assert.ok((JSON.parse((data ?? '').replace(/^data: /, '')) as FleetView).hosts.some(({ id }) => id === host.id))
  }
})

for (const [name, status] of [
  ['attacker.example', 421],
  ['localhost.attacker.example', 421],
  ['127.0.0.1.attacker.example:80', 421],
  ['192.0.2.1', 421],
  ['127.0.0.1@attacker.example', 421],
  ['localhost:9000', 200],
  ['127.0.0.1', 200],
  ['[::1]:8090', 200],
] as const) {
  test(`a request by the name ${name} is answered with ${status}`, async () => {
    for (const path of ['/', '/api/fleet']) assert.equal((await ask(path, { host: name })).status, status, path)
  })
}

test('a page of another origin gets nothing, and nothing can be sent', async () => {
  assert.equal((await ask('/api/fleet', { 'sec-fetch-site': 'cross-site' })).status, 403)
  assert.equal((await ask('/api/events', { 'sec-fetch-site': 'same-site' })).status, 403)
  assert.equal((await ask('/api/fleet', { 'sec-fetch-site': 'same-origin' })).status, 200)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await ask('/', {}, method)).status, 405)
  assert.equal((await ask('/../../etc/passwd')).status, 404)
})

test('a host that is gone is still shown, as not answering', async () => {
  const other = await house.host('leaving')
  const stateOf = async (): Promise<string | undefined> => (await view()).hosts.find(({ id }) => id === other.id)?.state
  const untilMs = Date.now() + 20_000
  while ((await stateOf()) !== 'ready') assert.ok(Date.now() < untilMs, 'the console never saw the host')
  await other.herald[Symbol.asyncDispose]()
  assert.equal(await stateOf(), 'not answering')
})

test('an address that others reach is served with a warning, one that is taken is refused, and Ctrl-C ends with 0', async () => {
  await using open = house.start('console', '--listen', '0.0.0.0:0', '--output', 'json')
  await open.event('ready')
  assert.match(open.stderr, /WARNING: http:\/\/0\.0\.0\.0:\d+\/ is reachable from other machines/)
  open.interrupt()
  assert.equal((await open.exited).exitCode, 0)
  const taken = await house.run('console', '--listen', new URL(url).host)
  assert.equal(taken.exitCode, 4)
  assert.match(taken.stderr, /ERR_CONSOLE_LISTEN/)
})
