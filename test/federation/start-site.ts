import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCredentialsCapability } from '../../src/capabilities/credentials/credentials-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createEngine } from '../../src/engine/create-engine.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import { createHost } from '../../src/host/host.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { createIngress } from '../../src/ingress/create-ingress.ts'
import { createFileImageSource } from '../../src/manifest/image-source.ts'
import { loadManifest } from '../../src/manifest/load-manifest.ts'
import { createLog } from '../../src/observability/log.ts'
import { startLog } from '../support/log.ts'
import type { Spire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A whole host on a real SPIRE, with credentials from relying parties on this machine, which `herald host` would refuse. Disposal stops it. */
export interface Site extends AsyncDisposable {
  /**
   * Deploys the component `storage` of this file, whose one binding is `storage` with this configuration, waits for its end and
   * forgets it. @returns the digest by which the host knows it, and its one line of output
   */
  run(wasmFile: string, binding: Readonly<Record<string, string>>): Promise<{ digest: string; line: string }>
}

/** `exchanging`: used for what the exchanges send. */
export async function startSite(spire: Spire, exchanging: typeof fetch): Promise<Site> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(temporaryDirectory()).path
  const { append, text } = startLog(`host-${spire.trustDomain}`)
  const [log, clock] = [createLog({ level: 'debug', destination: { write: append } }), systemClock]
  const authority = stack.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock }))
  const svids = stack.use(createSvidSource({ authority, clock, log }))
  const options = { svids, fetch: exchanging, loopbackEndpoints: true, clock, log }
  const credentials = stack.use(createCredentialsCapability(options))
  const engine = stack.use(createEngine({ log, clock }))
  const ingress = stack.use(await createIngress({ log, host: '127.0.0.1', port: 0 }))
  const files = createFileImageSource()
  let digest = ''
  const host = stack.use(
    await createHost(
      {
        ...{ engine, ingress, capabilities: [credentials], lattice: 'default', environment: undefined, labels: {} },
        images: {
          async fetch(image, how) {
            const fetched = await files.fetch(image, how)
            digest = fetched.digest
            return fetched
          },
        },
        ...{ log, clock, limits: defaultLimits },
      },
      { signal: AbortSignal.timeout(30_000) },
    ),
  )
  const owned = stack.move()
  return {
    async run(wasmFile, binding) {
      const file = join(directory, 'storage.yaml')
      writeFileSync(file, manifest(wasmFile, binding))
      const { workloads } = await loadManifest(file, { cwd: directory })
      const before = text().length
      await using handle = await host.deploy(workloads[0]!, { signal: AbortSignal.timeout(60_000) })
      await handle.ended
      const lines = text()
        .slice(before)
        .split('\n')
        .filter((line) => line.includes('"event":"component.output"'))
      return { digest, line: lines.map((line) => String(JSON.parse(line).text)).join('\n') }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const manifest = (wasmFile: string, binding: object): string => `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: { name: shop, namespace: shop }
spec:
  template:
    spec:
      components: [{ name: storage, image: "file://${wasmFile}" }]
      hostInterfaces:
        - { namespace: herald, package: credentials, interfaces: [store], version: 0.1.0, name: storage, config: ${JSON.stringify(binding)} }
`
