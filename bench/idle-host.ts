// A host of its own process for bench/idle.ts: told by messages, so that nothing else is in its memory.
import { readFileSync } from 'node:fs'
import { wireHost } from '../src/cli/wire-host.ts'
import { systemClock } from '../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../src/identity/development/development-authority.ts'
import { parseManifest } from '../src/manifest/parse-manifest.ts'
import { createLog } from '../src/observability/log.ts'

export type IdleHostAnswer = {
  readonly url?: string
  readonly running: number
  readonly parked: number
  readonly residentBytes: number
  readonly threads: number
  readonly cpuMs: number
}

const [, , cacheDir = '', directory = ''] = process.argv
const log = createLog({ level: 'silent' })
const never = new AbortController().signal
const authority = await createDevelopmentAuthority({
  ...{ log, clock: systemClock, inKubernetes: false, trustDomain: 'development.local', port: 0 },
})
const wired = await wireHost(
  {
    ...{ authority, log, http: { host: '127.0.0.1', port: 0 }, artifactCache: cacheDir, lattice: 'default' },
    ...{ environment: undefined, labels: {}, allowedHostPaths: [], deniedAddresses: [] },
    ...{ memoryLimitMb: undefined, requestTimeoutMs: undefined },
  },
  { signal: never },
)

process.on('message', async (message: { deploy?: readonly string[] }) => {
  for (const name of message.deploy ?? []) {
    const source = { file: `${name}.yaml`, baseDirectory: directory, isFile: () => true }
    const { workloads } = parseManifest(manifestOf(name), source)
    await wired.host.deploy(workloads[0]!, { signal: never })
  }
  process.send!(reading())
})
process.on('disconnect', () => process.exit())
process.send!({ ...reading(), url: wired.url })

function reading(): IdleHostAnswer {
  const statuses = wired.host.status()
  const { user, system } = process.cpuUsage()
  return {
    running: statuses.filter(({ state }) => state.kind === 'running').length,
    parked: statuses.reduce((sum, { cells }) => sum + cells.filter(({ kind }) => kind === 'parked').length, 0),
    residentBytes: process.memoryUsage.rss(),
    threads: Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]),
    cpuMs: (user + system) / 1000,
  }
}

function manifestOf(name: string): string {
  return `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: {name: ${name}}
spec:
  components: [{name: hello, image: "file://${name}.wasm"}]
  hostInterfaces:
  - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${name}.test}}
`
}
