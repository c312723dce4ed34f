// What the documentation and the chart's defaults say of spiffe's helm-charts-hardened, held against that chart where it can be had.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { programPath } from '../../scripts/servers.ts'
import { blocksOf } from '../docs/document-blocks.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { readObjects } from './helm-chart.ts'

const { HERALD_SPIRE_CHART: spireChart } = process.env
const skip =
  spireChart === undefined
    ? 'NOT RUN: the chart of SPIRE. Set HERALD_SPIRE_CHART to charts/spire of spiffe/helm-charts-hardened, its dependencies in place'
    : false
if (skip !== false) console.log(`### ${skip}`)

const root = join(import.meta.dirname, '../..')
const values = parse(readFileSync(join(root, 'charts/herald-platform/values.yaml'), 'utf8')) as {
  spire: {
    className: string
    hostIdPath: string
    workloadSocket: { csiDriver: string; fileName: string }
    adminSocket: {
      hostPath: { directory: string; fileName: string; socketGroup: number }
      sidecar: { serverAddress: string; serverPort: number }
    }
  }
}

for (const page of ['docs/kubernetes/README.md', 'docs/kubernetes/spire.md']) {
  test(`${page}: with its values SPIRE's chart makes what Herald's defaults expect`, { skip }, async () => {
    using directory = temporaryDirectory()
    const block = blocksOf(page).find(({ text }) => text.startsWith('# values of spire (spiffe'))
    assert.ok(block !== undefined)
    const file = join(directory.path, 'values.yaml')
    writeFileSync(file, block.text)
    const result = await runProgram(
      await programPath('helm'),
      [
        ...['template', 'spire', spireChart!, '--namespace', 'spire-server', '--kube-version', '1.34.2'],
        ...['--values', file, '--set', 'global.spire.trustDomain=example.org'],
      ],
      { env: { PATH: process.env.PATH, HOME: directory.path } },
    )
    assert.equal(result.exitCode, 0, result.output)
    const objects = readObjects(result.stdout)
    const text = JSON.stringify(objects)
    const { spire } = values
    const { hostPath, sidecar } = spire.adminSocket
    const config = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'spire-agent')
    const { agent } = JSON.parse((config!.data as Record<string, string>)['agent.conf'] ?? '')
    assert.deepEqual(agent.authorized_delegates, [`spiffe://example.org${spire.hostIdPath}`])
    assert.ok(agent.admin_socket_path.endsWith(`/${hostPath.fileName}`), agent.admin_socket_path)
    assert.ok(agent.socket_path.endsWith(`/${spire.workloadSocket.fileName}`), agent.socket_path)
    assert.ok(
      text.includes(`"hostPath":{"path":"${hostPath.directory}"`),
      'the admin socket is not where the hosts look',
    )
    assert.ok(
      objects.some(({ kind, metadata }) => kind === 'CSIDriver' && metadata.name === spire.workloadSocket.csiDriver),
    )
    assert.ok(text.includes(`"className":"${spire.className}"`))
    const service = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'spire-server')
    assert.equal(`${service?.metadata.name}.${service?.metadata.namespace}`, sidecar.serverAddress)
    const { ports } = service!.spec as { ports: { port: number }[] }
    assert.ok(
      ports.some(({ port }) => port === sidecar.serverPort),
      JSON.stringify(ports),
    )
  })
}
