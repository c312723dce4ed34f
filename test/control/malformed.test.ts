import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startNats } from '../support/nats.ts'
import { testHost } from './control-test-setup.ts'
import { createHostStandIn } from './host-stand-in.ts'
import { checkStatus, startOperatorDriver, wireWorkload } from './operator-driver.ts'

const nats = await startNats({ config: 'max_payload: 8MB' })
const operator = await startOperatorDriver(nats.url)
const host = await testHost(nats.url, createHostStandIn())
after(async () => {
  await host[Symbol.asyncDispose]()
  await operator[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
})

// Each its own: an id whose start failed stays known as failed.
let ids = 0
const start = (workload: object, more: object = {}) => JSON.stringify({ workloadId: `m-${ids++}`, workload, ...more })
const component = (more: object) =>
  start({ ...wireWorkload('hello'), witWorld: { components: [{ name: 'api', image: 'ghcr.io/o/x:1', ...more }] } })
const hostInterface = (more: object) =>
  start({
    ...wireWorkload('hello'),
    witWorld: {
      components: [{ name: 'api', image: 'ghcr.io/o/x:1' }],
      hostInterfaces: [{ namespace: 'wasi', package: 'http', interfaces: ['x'], ...more }],
    },
  })

/** Payload, and what the answer's message must say. */
const malformedStarts: [string, string | Uint8Array, RegExp][] = [
  ['nothing at all', '', /not JSON/],
  ['text', 'hello', /not JSON/],
  ['bytes that are no UTF-8', new Uint8Array([0x22, 0xff, 0xfe, 0x22]), /not JSON/],
  ['half a message', start({ name: 'x' }).slice(0, -5), /not JSON/],
  ['null', 'null', /expected an object, found null/],
  ['a list', '[]', /expected an object, found a list/],
  ['no workload', '{"workloadId":"m"}', /workload: is missing/],
  ['no id', JSON.stringify({ workload: wireWorkload('hello') }), /workloadId: must be/],
  [
    'an id with a line break',
    JSON.stringify({ workloadId: 'a\nb', workload: wireWorkload('hello') }),
    /workloadId: must be/,
  ],
  ['an id that is a number', '{"workloadId":5}', /workloadId: expected a string/],
  ['a field twice in both spellings', '{"workloadId":"m","workload_id":"m"}', /given twice/],
  ['an unknown field', start(wireWorkload('hello'), { extra: 1 }), /extra: unknown field/],
  [
    'an unknown field deep inside',
    component({ localResources: { gpu: 1 } }),
    /workload\.witWorld\.components\[0\]\.localResources\.gpu: unknown field/,
  ],
  ['a number as a name', component({ name: 5 }), /components\[0\]\.name: expected a string/],
  ['a fraction', component({ poolSize: 1.5 }), /poolSize: expected a whole number/],
  ['a number too large', component({ poolSize: 2 ** 31 }), /poolSize: not between/],
  ['a negative pool', component({ poolSize: -1 }), /poolSize/],
  [
    'restarts that are no number',
    start({ ...wireWorkload('hello'), service: { image: 'ghcr.io/o/x:1', maxRestarts: 'many' } }),
    /maxRestarts: expected a whole number/,
  ],
  [
    'restarts above 64 bits',
    start({ ...wireWorkload('hello'), service: { image: 'ghcr.io/o/x:1', maxRestarts: '18446744073709551616' } }),
    /maxRestarts: not between/,
  ],
  ['an unknown pull policy', component({ imagePullPolicy: 'SOMETIMES' }), /imagePullPolicy: expected one of/],
  ['a map that is a list', component({ localResources: { environment: ['a'] } }), /environment: expected an object/],
  [
    'a map value that is a number',
    component({ localResources: { environment: { A: 1 } } }),
    /environment\["A"\]: expected a string/,
  ],
  ['a component name that is no label', component({ name: '../x' }), /components\[0\]\.name/],
  ['no component name', component({ name: '' }), /components\[0\]\.name/],
  ['an image that is none', component({ image: 'not an image' }), /^ERR_IMAGE_INVALID/],
  ['a file of the host', component({ image: 'file:///etc/passwd' }), /^ERR_IMAGE_INVALID.*over the lattice/],
  ['a lone surrogate', component({ name: '\ud800' }), /not valid Unicode/],
  [
    'identity without audiences',
    hostInterface({ namespace: 'wasmcloud', package: 'identity', interfaces: ['store'] }),
    /audiences/,
  ],
  ['an interface that is no WIT name', hostInterface({ namespace: 'wasi;rm' }), /namespace/],
  ['no components', start({ namespace: 'a', name: 'b' }), /nothing to run/],
  ['a workload name that is a path', start({ ...wireWorkload('hello'), name: '../../x' }), /metadata\.name/],
  [
    'both kinds of one volume',
    start({ ...wireWorkload('hello'), volumes: [{ name: 'v', hostPath: { localPath: '/' }, emptyDir: {} }] }),
    /either ephemeral or a hostPath/,
  ],
  ['deep nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /expected an object|not JSON/],
  ['two thousand components', start({ ...wireWorkload('hello', { components: 2_000 }) }), /more than 1000 entries/],
  ['two megabytes', start({ ...wireWorkload('hello'), name: 'x'.repeat(2_000_000) }), /2000\d+ bytes, more than/],
]

for (const [what, payload, reason] of malformedStarts) {
  test(`a start with ${what} is answered with the reason`, async () => {
    const bytes = Buffer.from(payload as string)
    const answer = await operator.raw(host.hostId, 'workload.start', bytes)
    assert.ok(answer !== undefined, 'answered')
    const workloadId =
      bytes.length <= 1024 * 1024
        ? (/^\{[^{]*"workload(?:Id|_id)":"((?:[^"\\]|\\.)*)"/.exec(bytes.toString('utf8'))?.[1] ?? '')
        : ''
    const echoed = isJson(bytes) ? JSON.parse(`"${workloadId}"`) : ''
    const { workloadState, message } = checkStatus(Buffer.from(answer), echoed)
    assert.equal(workloadState, 'WORKLOAD_STATE_ERROR')
    assert.match(message, reason)
    assert.ok(message.length <= 2_000)
  })
}

for (const command of ['workload.status', 'workload.stop']) {
  for (const payload of [
    '',
    'x',
    '{}',
    '[]',
    'null',
    '{"workloadId":""}',
    '{"workloadId":{}}',
    '{"workloadId":"a","b":1}',
  ]) {
    test(`${command} with ${payload || 'nothing'} is answered as an error`, async () => {
      const answer = JSON.parse((await operator.raw(host.hostId, command, Buffer.from(payload)))!)
      assert.equal(answer.workloadStatus.workloadState, 'WORKLOAD_STATE_ERROR')
    })
  }
}

for (const payload of ['', '{}', 'x', '{"a":1}', ' '.repeat(2_000_000)]) {
  test(`a heartbeat request with ${payload.length > 100 ? 'two megabytes' : payload || 'nothing'} gets a heartbeat`, async () => {
    assert.equal(JSON.parse((await operator.raw(host.hostId, 'heartbeat', Buffer.from(payload)))!).id, host.hostId)
  })
}

for (const command of ['workload', 'workload.start.x', 'workload.list', 'x', 'a.b.c.d', 'workload.START']) {
  test(`the unknown command ${command} is logged and not answered`, async () => {
    assert.equal(await operator.raw(host.hostId, command, Buffer.from('{}'), 200), undefined)
    assert.ok(
      host
        .events()
        .some(({ event, subject }) => event === 'control.unknown-command' && String(subject).endsWith(command)),
    )
  })
}

for (const payload of ['', 'x', '{"id":5}', '{"friendlyName":"'.padEnd(500_000, 'x')]) {
  test(`what is no heartbeat on another host’s subject (${payload.length} bytes) harms nobody`, async () => {
    operator.connection.publish('runtime.operator.heartbeat.malformed-on-purpose', Buffer.from(payload))
    await operator.connection.flush()
    assert.equal((await operator.heartbeat(host.hostId)).id, host.hostId)
  })
}

test('after all of it the host works, and has started nothing', async () => {
  assert.deepEqual(host.host.calls, [])
  assert.equal(
    (await operator.place(host.hostId, 'fine', wireWorkload('hello'))).workloadState,
    'WORKLOAD_STATE_RUNNING',
  )
})

test('a workload may be spelled as proto fields too, as ProtoJSON has it, and numbers as strings', async () => {
  const workload = {
    namespace: 'a',
    name: 'snake',
    wit_world: {
      components: [
        { name: 'api', image: 'ghcr.io/o/x:1', pool_size: '2', image_pull_policy: 3, local_resources: null },
      ],
    },
  }
  await operator.raw(host.hostId, 'workload.start', Buffer.from(JSON.stringify({ workload_id: 'snake', workload })))
  const [api] = host.host.starts.at(-1)!.workload.components
  assert.equal(api?.poolSize, 2)
  assert.equal(api?.imagePullPolicy, 'Never')
})

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'))
    return true
  } catch {
    return false
  }
}
