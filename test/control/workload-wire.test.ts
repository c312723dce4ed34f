import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workloadFromWire } from '../../src/control/workload-from-wire.ts'
import { workloadToWire } from '../../src/control/workload-to-wire.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'

const source = { file: 'w.yaml', baseDirectory: '/', isFile: () => true }
const [workload] = parseManifest(
  `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: {name: hello}
spec:
  components: [{name: api, image: ghcr.io/o/hello:1, poolSize: 4, maxInvocations: 1000}]
  service: {image: ghcr.io/o/service:1}
  hostInterfaces:
  - {namespace: herald, package: cell, interfaces: [settings], config: {idle-timeout: 20s, memory-limit: 64Mi}}
`,
  source,
).workloads

const [component] = workload!.components
const limited = {
  ...workload!,
  components: [{ ...component!, resources: { ...component!.resources, memoryLimitMb: 48, cpuLimitMillicores: 150 } }],
}

test('a workload keeps its limits and the settings of its cell on the way over the lattice', () => {
  const { workload: arrived } = workloadFromWire(workloadToWire(limited), { allowFileImages: false })
  assert.deepEqual(arrived.components, limited.components)
  assert.deepEqual(arrived.hostInterfaces, workload!.hostInterfaces)
  assert.equal(arrived.service?.resources.memoryLimitMb, undefined)
  assert.equal(arrived.service?.resources.cpuLimitMillicores, undefined)
})

test("upstream's -1 and 0 are no limit", () => {
  for (const none of [-1, 0]) {
    const wire = workloadToWire(workload!)
    const [sent] = wire.witWorld!.components
    const resources = { ...sent!.localResources!, memoryLimitMb: none, cpuLimit: none }
    const components = [{ ...sent!, localResources: resources }]
    const { workload: arrived } = workloadFromWire(
      { ...wire, witWorld: { ...wire.witWorld!, components } },
      { allowFileImages: false },
    )
    assert.equal(arrived.components[0]?.resources.memoryLimitMb, undefined)
    assert.equal(arrived.components[0]?.resources.cpuLimitMillicores, undefined)
  }
})
