import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { startRegistry } from './registry.ts'

test('a blob and a manifest that are pushed to the registry can be pulled by tag and by digest', async () => {
  await using registry = await startRegistry()
  const put = async (path: string, body: string, type: string) => {
    const response = await fetch(`${registry.url}${path}`, { method: 'PUT', body, headers: { 'content-type': type } })
    assert.equal(response.status, 201, await response.text())
  }
  const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`
  const blob = '{}'
  const upload = await fetch(`${registry.url}/v2/example/blobs/uploads/`, { method: 'POST' })
  const location = new URL(upload.headers.get('location') ?? '', registry.url)
  location.searchParams.set('digest', digestOf(blob))
  await put(location.pathname + location.search, blob, 'application/octet-stream')

  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(blob), size: blob.length }
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [config] })
  await put('/v2/example/manifests/v1', manifest, mediaType)

  for (const reference of ['v1', digestOf(manifest)]) {
    const response = await fetch(`${registry.url}/v2/example/manifests/${reference}`, {
      headers: { accept: mediaType },
    })
    assert.equal(await response.text(), manifest)
  }
  await registry.stop()
  await assert.rejects(fetch(registry.url))
})
