import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { parseCalloutPolicy, permissionOf } from '../../src/callout/callout-policy.ts'
import { inboxPrefixOf } from '../../src/lattice/subjects.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'

const parse = (...grants: readonly object[]) => parseCalloutPolicy(stringify({ grants }), 'policy.yaml')
const permitted = (policy: ReturnType<typeof parse>, id: string) => permissionOf(policy, parseSpiffeId(id))
const grant = { 'spiffe-id': 'spiffe://example.org/a', account: 'A' }

test('a host gets the subjects of the lattice for its id, an answer to who asks, and nothing else', () => {
  const host = 'spiffe://example.org/host/host-7'
  const policy = parse({ 'spiffe-id': 'spiffe://example.org/host/{id}', account: 'H', as: 'host', 'host-id': '{id}' })
  assert.deepEqual(permitted(policy, host), {
    account: 'H',
    publish: [
      'runtime.operator.heartbeat.host-7',
      'herald.logs.*',
      'herald.audit.host-7.>',
      'runtime.host.*.workload.start',
    ],
    subscribe: ['runtime.host.host-7.>', 'herald.host.host-7.>', 'herald.hosts', `${inboxPrefixOf(host)}.>`],
    answers: true,
  })
})

test('a workload that is granted nothing may listen to its own answers only', () => {
  assert.deepEqual(permitted(parse(grant), 'spiffe://example.org/a'), {
    account: 'A',
    publish: [],
    subscribe: [`${inboxPrefixOf('spiffe://example.org/a')}.>`],
    answers: false,
  })
})

test('a bucket of the keyvalue store is exactly that bucket', () => {
  const { publish } = permitted(parse({ ...grant, keyvalue: ['cache'] }), 'spiffe://example.org/a')
  assert.ok(publish.includes('$KV.cache.>') && publish.includes('$JS.API.STREAM.INFO.KV_cache'))
  assert.deepEqual(
    publish.filter((subject) => !/[._]cache(\.|$)/.test(subject)),
    ['$JS.API.INFO'],
  )
})

test('a bucket of the blobstore is exactly that bucket, with what it takes to remove objects', () => {
  const { publish } = permitted(parse({ ...grant, blobstore: ['letters'] }), 'spiffe://example.org/a')
  assert.ok(publish.includes('$O.letters.>') && publish.includes('$JS.API.STREAM.PURGE.OBJ_letters'))
  assert.deepEqual(
    publish.filter((subject) => !/[._]letters(\.|$)/.test(subject)),
    ['$JS.API.INFO'],
  )
})

test('the grant that names a SPIFFE ID exactly counts before patterns; of several patterns none does', () => {
  const policy = parse(
    { ...grant, 'spiffe-id': 'spiffe://example.org/{team}/api', account: 'T' },
    { ...grant, 'spiffe-id': 'spiffe://example.org/shop/{name}', account: 'S' },
    { ...grant, 'spiffe-id': 'spiffe://example.org/shop/db', account: 'D' },
  )
  assert.equal(permitted(policy, 'spiffe://example.org/shop/db').account, 'D')
  assert.equal(permitted(policy, 'spiffe://example.org/shop/web').account, 'S')
  assert.throws(() => permitted(policy, 'spiffe://example.org/shop/api'), { code: 'ERR_CALLOUT_DENIED' })
})

for (const id of [
  'spiffe://example.org/shop',
  'spiffe://example.org/shop/a/b',
  'spiffe://other.org/shop/a',
  'spiffe://example.org/shop/a.b',
  'spiffe://example.org/Shop/a',
]) {
  test(`spiffe://example.org/shop/{name} is not for ${id}`, () => {
    const policy = parse({ ...grant, 'spiffe-id': 'spiffe://example.org/shop/{name}' })
    assert.throws(() => permitted(policy, id), { code: 'ERR_CALLOUT_DENIED' })
  })
}

for (const [what, faulty, where] of [
  ['an unknown key', { ...grant, publsh: [] }, 'grants[0].publsh'],
  ['everything', { ...grant, publish: ['>'] }, 'grants[0].publish[0]'],
  ['a wildcard first', { ...grant, subscribe: ['*.new'] }, 'grants[0].subscribe[0]'],
  ["NATS's own subjects", { ...grant, publish: ['a', '$SYS.REQ.USER.AUTH'] }, 'grants[0].publish[1]'],
  ["others' inboxes", { ...grant, subscribe: ['_INBOX.>'] }, 'grants[0].subscribe[0]'],
  ['a name the SPIFFE ID lacks', { ...grant, publish: ['x.{team}'] }, 'grants[0].publish[0]'],
  ['a blank', { ...grant, publish: ['a b'] }, 'grants[0].publish[0]'],
  ['a bucket with a wildcard', { ...grant, keyvalue: ['*'] }, 'grants[0].keyvalue[0]'],
  ['a whole trust domain', { ...grant, 'spiffe-id': 'spiffe://example.org' }, 'grants[0].spiffe-id'],
  ['a name in the trust domain', { ...grant, 'spiffe-id': 'spiffe://{td}/a' }, 'grants[0].spiffe-id'],
  ['half a segment', { ...grant, 'spiffe-id': 'spiffe://example.org/a-{b}' }, 'grants[0].spiffe-id'],
  ['a host id of no host', { ...grant, 'host-id': 'x' }, 'grants[0].host-id'],
] as const) {
  test(`a policy with ${what} is refused, and says where`, () => {
    assert.throws(
      () => parse(faulty),
      (error: { code?: string; where?: { line?: number; key?: string } }) =>
        error.code === 'ERR_CALLOUT_POLICY_INVALID' && error.where?.line !== undefined && error.where.key === where,
    )
  })
}

test('two grants for the same SPIFFE IDs, no grant, and two documents are refused', () => {
  const twice = { ...grant, 'spiffe-id': 'spiffe://example.org/{a}' }
  assert.throws(() => parse(twice, { ...twice, 'spiffe-id': 'spiffe://example.org/{b}' }), /same SPIFFE ID/)
  assert.throws(() => parse(), { code: 'ERR_CALLOUT_POLICY_INVALID' })
  assert.throws(() => parseCalloutPolicy('a: 1\n---\nb: 2\n', 'policy.yaml'), /one YAML document/)
  assert.throws(() => parseCalloutPolicy('a: [', 'policy.yaml'), { code: 'ERR_CALLOUT_POLICY_INVALID' })
})
