import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { ErrorCode } from '../../src/errors/error-codes.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentBytes, signal, testClient } from './oci-test-setup.ts'
import { answerError, digest, startRegistryFaultStandIn } from './registry-fault-stand-in.ts'

// Faults no real registry can be asked for; the stand-in says what it is.
const isBlob = (request: IncomingMessage) => request.url?.includes('/blobs/') === true
const layer = componentBytes(400_000, 5)

for (const [status, code] of [
  [401, 'ERR_OCI_UNAUTHORIZED'],
  [403, 'ERR_OCI_FORBIDDEN'],
  [404, 'ERR_OCI_NOT_FOUND'],
  [429, 'ERR_OCI_RATE_LIMITED'],
  [500, 'ERR_OCI_REGISTRY_FAILED'],
  [503, 'ERR_OCI_REGISTRY_FAILED'],
  [418, 'ERR_OCI_REGISTRY_FAILED'],
] as [number, ErrorCode][]) {
  test(`a registry that answers ${status} gives ${code} with its reason and a remedy`, async () => {
    await using registry = await startRegistryFaultStandIn()
    registry.addArtifact('o/x', layer)
    registry.fault = (_, response) => answerError(response, status, 'DENIED', 'because\nof this')
    const client = await testClient({ maxAttempts: 3 })
    await assert.rejects(client.pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) => {
      assert.ok(isHeraldError(error, code), String(error))
      assert.match(error.message, /DENIED: because of this/)
      assert.ok(error.hint)
      return true
    })
    assert.equal(registry.requests.length, [429, 500, 503].includes(status) ? 3 : 1)
  })
}

test('a registry that is busy for a while is asked again, when it said', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  let left = 3
  registry.fault = (_, response) =>
    left-- > 0 && answerError(response, left === 1 ? 503 : 429, 'TOOMANYREQUESTS', 'slow down', { 'retry-after': '2' })
  const client = await testClient()
  assert.deepEqual(
    Buffer.from((await client.pull(`${registry.host}/o/x:1`, { signal: signal() })).bytes),
    Buffer.from(layer),
  )
  assert.deepEqual(
    client
      .events()
      .filter(({ event }) => event === 'oci.retry')
      .map(({ waitMs }) => waitMs),
    [2_000, 2_000, 2_000],
  )
})

test('a registry that asks for a very long pause has refused', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.fault = (_, response) =>
    answerError(response, 429, 'TOOMANYREQUESTS', 'tomorrow', { 'retry-after': '86400' })
  await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_RATE_LIMITED'),
  )
  assert.equal(registry.requests.length, 1)
})

test('a transfer that breaks goes on where it broke', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  let breaks = 0
  registry.fault = (request, response) => isBlob(request) && breaks++ < 3 && sendPart(request, response, 90_000)
  const seen: number[] = []
  const pulled = await (await testClient()).pull(`${registry.host}/o/x:1`, {
    signal: signal(),
    onProgress: ({ receivedBytes, totalBytes }) => seen.push(receivedBytes, totalBytes),
  })
  assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(layer))
  const ranges = registry.requests.filter(({ path }) => path.includes('/blobs/')).map(({ headers }) => headers.range)
  assert.deepEqual(ranges, [undefined, 'bytes=90000-', 'bytes=180000-', 'bytes=270000-'])
  assert.equal(Math.max(...seen), layer.length)
})

test('a registry that cannot resume sends the layer again', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  let blobs = 0
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    if (blobs++ === 0) return sendPart(request, response, 50_000)
    response.writeHead(200, { 'content-length': layer.length })
    response.end(layer)
    return true
  }
  const pulled = await (await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() })
  assert.deepEqual(Buffer.from(pulled.bytes), Buffer.from(layer))
})

test('a layer that never comes whole is ERR_OCI_TRUNCATED, and nothing of it is cached', async () => {
  await using registry = await startRegistryFaultStandIn()
  const { layerDigest } = registry.addArtifact('o/x', layer)
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    // As a proxy with a damaged copy: short, and properly ended.
    response.writeHead(200)
    response.end(layer.subarray(0, 100_000))
    return true
  }
  using cache = temporaryDirectory()
  const client = await testClient({ cache: { directory: cache.path } })
  await assert.rejects(client.pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_TRUNCATED'),
  )
  await assert.rejects(client.pull(`${registry.host}/o/x:1`, { policy: 'never', signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_NOT_CACHED'),
  )
  assert.ok(layerDigest)
})

for (const [name, change] of [
  ['one bit changed', (bytes: Buffer) => bytes.fill(bytes[9]! ^ 1, 9, 10)],
  ['more bytes than its size', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('x')])],
] as const) {
  test(`a layer with ${name} is ERR_OCI_DIGEST_MISMATCH`, async () => {
    await using registry = await startRegistryFaultStandIn()
    registry.addArtifact('o/x', layer)
    registry.fault = (request, response) => {
      if (!isBlob(request)) return false
      response.end(change(Buffer.from(layer)))
      return true
    }
    await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_OCI_DIGEST_MISMATCH'),
    )
  })
}

test('a manifest that is not what its digest says is ERR_OCI_DIGEST_MISMATCH', async () => {
  await using registry = await startRegistryFaultStandIn()
  const { manifestDigest } = registry.addArtifact('o/x', layer)
  registry.fault = (request, response) => {
    if (isBlob(request)) return false
    response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
    response.end('{"schemaVersion":2}')
    return true
  }
  await assert.rejects(
    (await testClient()).pull(`${registry.host}/o/x@${manifestDigest}`, { signal: signal() }),
    (error) => isHeraldError(error, 'ERR_OCI_DIGEST_MISMATCH'),
  )
})

for (const [name, manifest] of [
  ['is not JSON', 'hello'],
  ['has no layers', '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}'],
  ['has a digest that is a path', manifestWith('sha256:../../../etc/passwd', 4)],
  ['has another hash', manifestWith('md5:00', 4)],
  ['has a negative size', manifestWith(`sha256:${'0'.repeat(64)}`, -1)],
  ['has a size that is no integer', manifestWith(`sha256:${'0'.repeat(64)}`, 1.5)],
  ['is a list', '[]'],
  ['is of another type', '{"schemaVersion":2,"mediaType":"text/html"}'],
] as const) {
  test(`a manifest that ${name} is ERR_OCI_MANIFEST_INVALID`, async () => {
    await using registry = await startRegistryFaultStandIn()
    registry.addDocument('o/x', '1', 'application/vnd.oci.image.manifest.v1+json', Buffer.from(manifest))
    await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_OCI_MANIFEST_INVALID'),
    )
  })
}

test('an endless manifest is ERR_OCI_TOO_LARGE', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.fault = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
    const timer = setInterval(() => response.write(Buffer.alloc(1_000_000, 0x20)), 1)
    response.on('close', () => clearInterval(timer))
    return true
  }
  await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_TOO_LARGE'),
  )
})

test('a registry that falls silent is given up, and the caller’s signal ends a pull at once', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  registry.fault = (request) => !isBlob(request)
  const client = await testClient({ idleTimeoutMs: 100, maxAttempts: 2 })
  await assert.rejects(client.pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_UNREACHABLE'),
  )
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    response.writeHead(200, { 'content-length': layer.length })
    response.write(layer.subarray(0, 10))
    return true
  }
  const abort = new AbortController()
  const pull = (await testClient()).pull(`${registry.host}/o/x:1`, {
    signal: abort.signal,
    onProgress: () => abort.abort(new Error('enough')),
  })
  await assert.rejects(pull, /enough/)
})

test('nobody there is ERR_OCI_UNREACHABLE', async () => {
  const registry = await startRegistryFaultStandIn()
  await registry[Symbol.asyncDispose]()
  await assert.rejects((await testClient()).pull(`${registry.host}/o/x:1`, { signal: signal() }), (error) =>
    isHeraldError(error, 'ERR_OCI_UNREACHABLE'),
  )
})

test('a hundred pulls of one image at once are one download; it goes on for those who still wait', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    setTimeout(() => response.end(layer), 100)
    return true
  }
  const client = await testClient()
  const impatient = new AbortController()
  const gone = client.pull(`${registry.host}/o/x:1`, { signal: impatient.signal })
  const pulls = Array.from({ length: 100 }, () => client.pull(`${registry.host}/o/x:1`, { signal: signal() }))
  setTimeout(() => impatient.abort(new Error('gone')), 30)
  await assert.rejects(gone, /gone/)
  assert.ok((await Promise.all(pulls)).every(({ bytes }) => bytes.length === layer.length))
  assert.equal(registry.requests.filter(({ path }) => path.includes('/blobs/')).length, 1)
})

test('a mirror is asked first, without the workload’s credentials; when it fails, the registry itself', async () => {
  await using mirror = await startRegistryFaultStandIn()
  await using origin = await startRegistryFaultStandIn()
  mirror.addArtifact('o/x', layer)
  origin.addArtifact('o/x', layer)
  const client = await testClient({ mirrors: { [origin.host]: [mirror.host] } })
  const credentials = { kind: 'basic', username: 'u', password: 'secret-of-the-origin' } as const
  const pull = () => client.pull(`${origin.host}/o/x:1`, { credentials, signal: signal() })
  assert.equal((await pull()).bytes.length, layer.length)
  assert.deepEqual([mirror.requests.length, origin.requests.length], [2, 0])
  mirror.fault = (_, response) =>
    answerError(response, 401, 'UNAUTHORIZED', 'no', { 'www-authenticate': 'Basic realm="m"' })
  assert.equal((await pull()).bytes.length, layer.length)
  assert.equal(origin.requests.length, 2)
  assert.ok(mirror.requests.every(({ headers }) => headers.authorization === undefined))
})

function manifestWith(layerDigest: string, size: number): string {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const config = { mediaType: 'application/vnd.wasm.config.v0+json', digest: digest(Buffer.from('{}')), size: 2 }
  return JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config,
    layers: [{ mediaType: 'application/wasm', digest: layerDigest, size }],
  })
}

/** From where the request asked, so many bytes, then the connection is gone. */
function sendPart(request: IncomingMessage, response: ServerResponse, length: number): true {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const headers = { 'content-length': layer.length - start }
  if (start > 0)
    response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${layer.length - 1}/${layer.length}` })
  else response.writeHead(200, headers)
  response.write(layer.subarray(start, start + length), () => setTimeout(() => response.destroy(), 20))
  return true
}

test('a pull that everybody left goes on into the cache for a while, so that the next try finds it; the host’s end ends it', async () => {
  await using registry = await startRegistryFaultStandIn()
  registry.addArtifact('o/x', layer)
  const release = Promise.withResolvers<void>()
  let broken = 0
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    response.on('close', () => response.writableEnded || broken++)
    void release.promise.then(() => response.end(layer))
    return true
  }
  using cache = temporaryDirectory()
  const end = new AbortController()
  const client = await testClient({ cache: { directory: cache.path }, lingerMs: 1_000_000, signal: end.signal })
  const give = (ms: number) => client.pull(`${registry.host}/o/x:1`, { signal: AbortSignal.timeout(ms) })
  await assert.rejects(give(100), { name: 'TimeoutError' })
  await assert.rejects(give(100), { name: 'TimeoutError' })
  assert.equal(
    registry.requests.filter(({ path }) => path.includes('/blobs/')).length,
    1,
    'the second joined the first',
  )
  release.resolve()
  assert.equal((await give(5_000)).bytes.length, layer.length)
  assert.equal(registry.requests.filter(({ path }) => path.includes('/blobs/')).length, 1)

  registry.addArtifact('o/y', componentBytes(1_000, 9))
  registry.fault = (request, response) => {
    if (!isBlob(request)) return false
    response.on('close', () => broken++)
    return true
  }
  await assert.rejects(client.pull(`${registry.host}/o/y:1`, { signal: AbortSignal.timeout(100) }), {
    name: 'TimeoutError',
  })
  assert.equal(broken, 0)
  end.abort()
  for (let waited = 0; broken === 0; waited += 10) {
    assert.ok(waited < 2_000, 'the connection was let go')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
})
