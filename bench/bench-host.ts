import { systemClock } from '../src/clock/clock.ts'
import { createEngine } from '../src/engine/create-engine.ts'
import { defaultLimits } from '../src/engine/default-limits.ts'
import { createHost, type WorkloadHandle } from '../src/host/host.ts'
import { createIngress } from '../src/ingress/create-ingress.ts'
import { createFileImageSource } from '../src/manifest/image-source.ts'
import { parseManifest } from '../src/manifest/parse-manifest.ts'
import { createLog } from '../src/observability/log.ts'

/** A host in this process, without identity: manifest in, HTTP out. */
export type BenchHost = AsyncDisposable & {
  readonly port: number
  /** Serves the component for requests with `Host: <name>.test`; resolves once it serves. */
  deploy(name: string, component: string, options: { readonly poolSize: number }): Promise<WorkloadHandle>
}

/** @param cacheDir where artifacts are kept */
export async function openBenchHost(cacheDir: string): Promise<BenchHost> {
  const log = createLog({ level: 'silent' })
  const signal = AbortSignal.timeout(30_000)
  await using cleanup = new AsyncDisposableStack()
  const engine = cleanup.use(createEngine({ log, clock: systemClock, cacheDir }))
  const ingress = cleanup.use(await createIngress({ log, host: '127.0.0.1', port: 0 }))
  const host = cleanup.use(
    await createHost(
      {
        engine,
        ingress,
        capabilities: [],
        lattice: 'default',
        environment: undefined,
        labels: {},
        images: createFileImageSource(),
        log,
        clock: systemClock,
        limits: defaultLimits,
      },
      { signal },
    ),
  )
  const owned = cleanup.move()
  return {
    port: ingress.address.port,
    async deploy(name, component, { poolSize }) {
      const source = { file: `${name}.yaml`, baseDirectory: '/', isFile: () => true }
      const { workloads } = parseManifest(manifestOf(name, `file://${component}`, poolSize), source)
      return host.deploy(workloads[0]!, { signal: AbortSignal.timeout(60_000) })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A workload of one component that is served as `<name>.test`. */
export function manifestOf(name: string, image: string, poolSize: number): string {
  return `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}}
spec:
  replicas: 1
  template:
    spec:
      hostInterfaces:
        - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${name}.test}}
      components: [{name: ${name}, image: "${image}", poolSize: ${poolSize}}]
`
}
