import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { startRegistry } from '../support/registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
import { digest } from './registry-fault-stand-in.ts'

// Against the real registry 3.1.1.
const registry = await startRegistry()
after(() => registry[Symbol.asyncDispose]())

test('what was pushed is pulled by tag and by digest, byte for byte', async () => {
  const client = await testClient()
  const bytes = componentBytes(300_000)
  const pushed = await client.push(`${registry.host}/team/hello:1`, bytes, { signal: signal() })
  const byTag = await client.pull(`${registry.host}/team/hello:1`, { signal: signal() })
  const byDigest = await client.pull(`${registry.host}/team/hello@${pushed.manifestDigest}`, { signal: signal() })
  for (const pulled of [byTag, byDigest]) {
    assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(bytes))
    assert.equal(pulled.manifestDigest, pushed.manifestDigest)
  }
})

test('the same component pushed twice has the same digest, and says what it imports and exports', async () => {
  const client = await testClient()
  const component = { imports: ['wasmcloud:identity/store@0.0.1'], exports: ['wasi:http/incoming-handler@0.2.3'] }
  const bytes = componentBytes(1_000, 7)
  const options = { component, annotations: { 'org.opencontainers.image.title': 'x' }, signal: signal() }
  const first = await client.push(`${registry.host}/team/twice:1`, bytes, options)
  const second = await client.push(`${registry.host}/team/twice:2`, bytes, options)
  assert.equal(first.manifestDigest, second.manifestDigest)
  const inspected = await client.inspect(`${registry.host}/team/twice:2`, { signal: signal() })
  assert.deepEqual(inspected.component, component)
  assert.equal(inspected.manifestDigest, first.manifestDigest)
  assert.deepEqual(
    inspected.layers.map(({ mediaType, digest: layer }) => [mediaType, layer]),
    [['application/wasm', digest(bytes)]],
  )
  assert.equal(inspected.annotations['org.opencontainers.image.title'], 'x')
})

test('an artifact in wasmCloud’s older layout is pulled too', async () => {
  const layer = componentBytes(5_000, 3)
  const config = Buffer.from('{}')
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.wasmcloud.actor.archive.config',
      digest: digest(config),
      size: config.length,
    },
    layers: [
      { mediaType: 'application/vnd.module.wasm.content.layer.v1+wasm', digest: digest(layer), size: layer.length },
    ],
  }
  await putByHand('team/older', [layer, config], 'v1', manifest.mediaType, Buffer.from(JSON.stringify(manifest)))
  const pulled = await (await testClient()).pull(`${registry.host}/team/older:v1`, { signal: signal() })
  assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(layer))
})

test('of an index the wasm entry is pulled, and the digest is that of the index', async () => {
  const client = await testClient()
  const bytes = componentBytes(2_000, 4)
  const pushed = await client.push(`${registry.host}/team/index:inner`, bytes, { signal: signal() })
  const inner = await fetch(`${registry.url}/v2/team/index/manifests/inner`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  })
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: pushed.manifestDigest,
        size: (await inner.arrayBuffer()).byteLength,
        platform: { os: 'wasip2', architecture: 'wasm' },
      },
    ],
  }
  const encoded = Buffer.from(JSON.stringify(index))
  await putByHand('team/index', [], 'all', index.mediaType, encoded)
  using cache = temporaryDirectory()
  const caching = await testClient({ cache: { directory: cache.path } })
  for (const fromCache of [false, true]) {
    const pulled = await caching.pull(`${registry.host}/team/index:all`, { signal: signal() })
    assert.equal(pulled.manifestDigest, digest(encoded))
    assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(bytes))
    assert.equal(pulled.fromCache, fromCache)
  }
})

test('an artifact without WebAssembly is refused and says what it is', async () => {
  const layer = Buffer.from('not wasm')
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest(layer), size: layer.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest(layer), size: layer.length }],
  }
  await putByHand('team/container', [layer], '1', manifest.mediaType, Buffer.from(JSON.stringify(manifest)))
  await assert.rejects(
    (await testClient()).pull(`${registry.host}/team/container:1`, { signal: signal() }),
    (error) => {
      assert.ok(isHeraldError(error, 'ERR_OCI_NOT_WASM'))
      assert.match(error.message, /layers are application\/vnd\.oci\.image\.layer\.v1\.tar\+gzip/)
      return true
    },
  )
})

test('a tag that does not exist is ERR_OCI_NOT_FOUND with the registry’s own reason', async () => {
  await assert.rejects((await testClient()).pull(`${registry.host}/team/nothing:1`, { signal: signal() }), (error) => {
    assert.ok(isHeraldError(error, 'ERR_OCI_NOT_FOUND'))
    assert.match(error.message, /MANIFEST_UNKNOWN|NAME_UNKNOWN/)
    return true
  })
})

test('bytes that are not WebAssembly are not pushed, nor is anything to a digest', async () => {
  const client = await testClient()
  await assert.rejects(
    client.push(`${registry.host}/team/x:1`, Buffer.from('#!/bin/sh'), { signal: signal() }),
    (error) => isHeraldError(error, 'ERR_OCI_NOT_WASM'),
  )
  await assert.rejects(
    client.push(`${registry.host}/team/x@sha256:${'0'.repeat(64)}`, componentBytes(10), { signal: signal() }),
    (error) => isHeraldError(error, 'ERR_OCI_REFERENCE_INVALID'),
  )
})

test('with the policies: never needs the cache, if-not-present keeps it, always sees the new tag', async () => {
  using cache = temporaryDirectory()
  const client = await testClient({ cache: { directory: cache.path } })
  const reference = `${registry.host}/team/policies:1`
  const [old, fresh] = [componentBytes(1_000, 11), componentBytes(1_000, 12)]
  await client.push(reference, old, { signal: signal() })
  await assert.rejects(client.pull(reference, { policy: 'never', signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_NOT_CACHED'),
  )
  await client.pull(reference, { signal: signal() })
  await client.push(reference, fresh, { signal: signal() })
  for (const policy of ['never', 'if-not-present', undefined] as const) {
    const pulled = await client.pull(reference, { policy, signal: signal() })
    assert.deepEqual([Buffer.compare(pulled.bytes, old), pulled.fromCache], [0, true])
  }
  const pulled = await client.pull(reference, { policy: 'always', signal: signal() })
  assert.equal(Buffer.compare(pulled.bytes, fresh), 0)
  // The default for latest is always.
  const latest = `${registry.host}/team/policies:latest`
  await client.push(latest, old, { signal: signal() })
  await client.pull(latest, { signal: signal() })
  await client.push(latest, fresh, { signal: signal() })
  assert.equal(Buffer.compare((await client.pull(latest, { signal: signal() })).bytes, fresh), 0)
})

test('two hosts share a cache; a damaged or foreign file in it is never used', async () => {
  using cache = temporaryDirectory()
  const [one, other] = [
    await testClient({ cache: { directory: cache.path } }),
    await testClient({ cache: { directory: cache.path } }),
  ]
  const reference = `${registry.host}/team/shared:1`
  const bytes = componentBytes(10_000, 21)
  await one.push(reference, bytes, { signal: signal() })
  await one.pull(reference, { signal: signal() })
  assert.equal((await other.pull(reference, { signal: signal() })).fromCache, true)

  const blob = join(cache.path, 'blobs', digest(bytes).slice(7))
  const damaged = readFileSync(blob)
  damaged[5_000]! ^= 1
  writeFileSync(blob, damaged)
  const again = await other.pull(reference, { signal: signal() })
  assert.deepEqual([Buffer.compare(again.bytes, bytes), again.fromCache], [0, false])
  assert.ok(other.events().some(({ event }) => event === 'oci.cache.altered'))

  unlinkSync(blob)
  symlinkSync('/etc/passwd', blob)
  assert.equal(Buffer.compare((await one.pull(reference, { signal: signal() })).bytes, bytes), 0)
  assert.ok(statSync(blob).isFile())
  // Names are digests and nothing else, whatever the reference was.
  for (const folder of ['blobs', 'references'])
    assert.ok(readdirSync(join(cache.path, folder)).every((name) => /^[0-9a-f]{64}$/.test(name)))
  assert.equal(statSync(cache.path).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(join(cache.path, 'incoming')), [])
})

test('the cache stays within its size: the least recently used goes', async () => {
  using cache = temporaryDirectory()
  const client = await testClient({ cache: { directory: cache.path, maxBytes: 250_000 } })
  for (const seed of [31, 32, 33, 34]) {
    await client.push(`${registry.host}/team/lru:${seed}`, componentBytes(100_000, seed), { signal: signal() })
    await client.pull(`${registry.host}/team/lru:${seed}`, { signal: signal() })
  }
  const blobs = readdirSync(join(cache.path, 'blobs'))
  const total = blobs.reduce((sum, name) => sum + statSync(join(cache.path, 'blobs', name)).size, 0)
  assert.ok(total <= 250_000, `${total} bytes`)
  assert.ok(blobs.includes(digest(componentBytes(100_000, 34)).slice(7)))
  assert.ok(!blobs.includes(digest(componentBytes(100_000, 31)).slice(7)))
})

test('a full disk costs the cache, not the pull', async (t) => {
  using cache = temporaryDirectory()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'herald-full-disk', cache.path])
  if (mounted.status !== 0) return t.skip('needs the right to mount a small tmpfs')
  try {
    const client = await testClient({ cache: { directory: cache.path } })
    const bytes = componentBytes(500_000, 51)
    await client.push(`${registry.host}/team/full:1`, bytes, { signal: signal() })
    assert.equal(
      Buffer.compare((await client.pull(`${registry.host}/team/full:1`, { signal: signal() })).bytes, bytes),
      0,
    )
    assert.ok(client.events().some(({ event, code }) => event === 'oci.cache.failed' && code === 'ENOSPC'))
    assert.deepEqual(readdirSync(join(cache.path, 'incoming')), [])
  } finally {
    spawnSync('umount', [cache.path])
  }
})

test('a cache directory that cannot be made is said at once', async () => {
  await assert.rejects(testClient({ cache: { directory: '/dev/null/cache' } }), (error) =>
    isHeraldError(error, 'ERR_OCI_CACHE_UNUSABLE'),
  )
})

test('a layer larger than allowed is refused before it is fetched', async () => {
  const client = await testClient({ maxLayerBytes: 1_000 })
  await client.push(`${registry.host}/team/large:1`, componentBytes(1_001, 41), { signal: signal() })
  await assert.rejects(client.pull(`${registry.host}/team/large:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_TOO_LARGE'),
  )
})

async function putByHand(
  repository: string,
  blobs: Uint8Array[],
  tag: string,
  contentType: string,
  manifest: Uint8Array,
): Promise<void> {
  for (const blob of blobs) {
    const opened = await fetch(`${registry.url}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
    const location = new URL(opened.headers.get('location')!, registry.url)
    location.searchParams.set('digest', digest(blob))
    const put = await fetch(location, { method: 'PUT', body: blob as Uint8Array<ArrayBuffer> })
    assert.equal(put.status, 201)
  }
  const put = await fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': contentType },
    body: manifest as Uint8Array<ArrayBuffer>,
  })
  assert.equal(put.status, 201, await put.text())
}

test('a push says how far it is, and sends the length of what it sends in pieces', async () => {
  const client = await testClient()
  const bytes = componentBytes(3_000_000, 77)
  const seen: number[] = []
  const push = (tag: string) =>
    client.push(`${registry.host}/progress/of:${tag}`, bytes, {
      signal: signal(),
      onProgress: ({ sentBytes, totalBytes }) => {
        assert.equal(totalBytes, bytes.length)
        seen.push(sentBytes)
      },
    })
  await push('1')
  assert.ok(seen.length > 10, `${seen.length} reports`)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
  assert.equal(seen.at(-1), bytes.length)
  assert.equal(
    Buffer.compare((await client.pull(`${registry.host}/progress/of:1`, { signal: signal() })).bytes, bytes),
    0,
  )
  seen.length = 0
  await push('2')
  assert.deepEqual(seen, [bytes.length], 'the registry has it: all of it at once')
})
