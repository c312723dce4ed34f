import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ControlledHost, WorkloadReport } from '../../src/control/controlled-host.ts'
import { createFileImageSource } from '../../src/manifest/image-source.ts'
import { createOciImageSource } from '../../src/oci/oci-image-source.ts'
import { until } from '../lattice/lattice-test-setup.ts'
import { componentBytes, testClient } from '../oci/oci-test-setup.ts'
import { startRegistryFaultStandIn } from '../oci/registry-fault-stand-in.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { testHost } from './control-test-setup.ts'
import { startOperatorDriver, wireWorkload } from './operator-driver.ts'

test('a start whose pull takes longer than any start may: heartbeats go on, it is answered in time, and the next start finds the image in the cache', async () => {
  await using nats = await startNats()
  await using operator = await startOperatorDriver(nats.url)
  await using registry = await startRegistryFaultStandIn()
  using cache = temporaryDirectory()
  const layer = componentBytes(1_000_000)
  const { layerDigest } = registry.addArtifact('team/large', layer)
  const isLayer = (path: string | undefined): boolean => path?.includes(`/blobs/${layerDigest}`) === true
  // The layer comes in drips for as long as the test wants it to.
  let dripping = true
  registry.fault = (request, response) => {
    if (request.method !== 'GET' || !isLayer(request.url)) return false
    response.writeHead(200, { 'content-length': layer.length })
    let sent = 0
    const timer = setInterval(() => {
      const end = dripping ? sent + 1_000 : layer.length
      response.write(layer.subarray(sent, end))
      sent = end
      if (sent < layer.length) return
      clearInterval(timer)
      response.end()
    }, 20)
    response.on('close', () => clearInterval(timer))
    return true
  }
  const ending = new AbortController()
  const client = await testClient({
    cache: { directory: cache.path },
    // The clock of the test client is a hundred times as fast.
    idleTimeoutMs: 3_000_000,
    lingerMs: 6_000_000,
    signal: ending.signal,
  })
  // A host that does nothing but pull.
  const images = createOciImageSource({ client, files: createFileImageSource() })
  const reports = new Map<string, WorkloadReport>()
  const host: ControlledHost = {
    async start({ workloadId, workload }, { signal }) {
      reports.set(workloadId, { state: 'starting', message: '' })
      for (const { image } of workload.components) await images.fetch(image, { signal })
      reports.set(workloadId, { state: 'running', message: '' })
    },
    status: (workloadId) => reports.get(workloadId),
    stop: async (workloadId) => void reports.delete(workloadId),
    summary: () => ({ workloadCount: reports.size, componentCount: 0, imports: [], exports: [], httpPort: 0 }),
  }
  await using room = await testHost(nats.url, host, { startTimeoutMs: 1_500, heartbeatIntervalMs: 100 })
  const workload = wireWorkload('large', { image: `${registry.host}/team/large:1` })
  const start = operator.start(room.hostId, 'first', workload)
  await until('the layer is on its way', () => registry.requests.some(({ path }) => isLayer(path)))
  const heard = operator.heartbeats.get(room.hostId)?.length ?? 0
  await until('heartbeats go on', () => (operator.heartbeats.get(room.hostId)?.length ?? 0) > heard + 5)
  assert.equal((await operator.heartbeat(room.hostId)).id, room.hostId)
  const answer = await start
  assert.equal(answer.workloadState, 'WORKLOAD_STATE_ERROR')
  assert.match(answer.message, /^ERR_CONTROL_START_TIMEOUT: .*still be on its way into the cache/)
  dripping = false
  // As the operator does it: a workload of another id. It may have to wait for the rest of the same download.
  let state = ''
  const endMs = Date.now() + 20_000
  for (let count = 0; state !== 'WORKLOAD_STATE_RUNNING'; count++) {
    assert.ok(Date.now() < endMs, `still ${state}`)
    state = (await operator.start(room.hostId, `again-${count}`, workload)).workloadState
  }
  assert.equal(
    registry.requests.filter(({ method, path }) => method === 'GET' && isLayer(path)).length,
    1,
    'the layer was fetched once',
  )
  ending.abort()
})
