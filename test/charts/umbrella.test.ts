import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { openHelmChart } from './helm-chart.ts'

test('the umbrella puts two lattices on two aliased NATS systems, and nothing of them meets', async () => {
  using chart = await openHelmChart('examples/umbrella')
  const objects = await chart.template({}, { release: 'platform' })
  const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`)
  assert.deepEqual([...new Set(names)], names)
  const services = objects.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name)
  for (const [host, nats, lattice, identity] of [
    ['platform-herald-host', 'platform-control-nats', 'default', 'spiffe://example.org/wasm-host'],
    ['platform-herald-edge-host', 'platform-edge-nats', 'edge', 'spiffe://example.org/wasm-host-edge'],
  ] as const) {
    const deployment = JSON.stringify(
      objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === host),
    )
    assert.ok(deployment.includes(`"--nats=nats://${nats}:4222"`), deployment)
    assert.ok(deployment.includes(`"--lattice=${lattice}"`))
    assert.ok(services.includes(nats), `${nats} is not among ${services}`)
    assert.ok(
      objects.some(({ kind, spec }) => kind === 'ClusterSPIFFEID' && JSON.stringify(spec).includes(`"${identity}"`)),
    )
  }
})

test('the umbrella’s leaf node and operator name Services that it has, for a release named as its README says', async () => {
  using chart = await openHelmChart('examples/umbrella')
  const objects = await chart.template({ herald: { 'runtime-operator': { enabled: true } } }, { release: 'platform' })
  const services = objects.filter(({ kind }) => kind === 'Service')
  const text = JSON.stringify(objects)
  for (const url of ['nats-leaf://platform-control-nats:7422', 'nats-url=nats://platform-control-nats:4222']) {
    assert.ok(text.includes(url), url)
    const [, name, port] = /\/\/([^:]+):(\d+)/.exec(url)!
    const service = services.find(({ metadata }) => metadata.name === name)
    assert.ok(service, `${url}: there is no such Service`)
    const { ports } = service.spec as { ports: { port: number }[] }
    assert.ok(
      ports.some((each) => each.port === Number(port)),
      url,
    )
  }
})

const charts = join(import.meta.dirname, '../../charts')
type Dependency = { name: string; version: string; repository: string; condition?: string; alias?: string }

for (const name of ['herald-platform', 'examples/umbrella']) {
  test(`the lock file of ${name} is of its dependencies as they are`, () => {
    const read = (file: string) => parse(readFileSync(join(charts, name, file), 'utf8'))
    const { dependencies } = read('Chart.yaml') as { dependencies: Dependency[] }
    const lock = read('Chart.lock') as { dependencies: Dependency[]; digest: string }
    assert.equal(lock.digest, lockDigest(dependencies, lock.dependencies))
    assert.deepEqual(
      lock.dependencies.map(({ name, version, repository }) => ({ name, version, repository })),
      dependencies.map(({ name, version, repository }) => ({ name, version, repository })),
    )
    for (const { version } of dependencies) assert.match(version, /^\d+\.\d+\.\d+$/)
  })
}

/** As `helm dependency build` checks it: SHA-256 of both lists as Go writes them. */
function lockDigest(...lists: readonly Dependency[][]): string {
  const ordered = lists.map((list) =>
    list.map(({ name, version, repository, condition, alias }) => ({ name, version, repository, condition, alias })),
  )
  return `sha256:${createHash('sha256').update(JSON.stringify(ordered)).digest('hex')}`
}
