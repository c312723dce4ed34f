import { servesInterface, unsupportedWasi } from '../engine/component-imports.ts'
import { defaultLimits } from '../engine/default-limits.ts'
import type { ComponentDescription } from '../engine/engine.ts'
import { wasiInterfaces } from '../wasi/wasi-interfaces.ts'

/** Beside WASI: what the capabilities that wire-host.ts puts into a host serve. A test compares it with them. */
export const capabilityInterfaces: readonly { readonly capability: string; readonly interface: string }[] = [
  { capability: 'identity', interface: 'wasmcloud:identity/store@0.0.1' },
  { capability: 'herald-identity', interface: 'herald:identity/component@0.1.0' },
  { capability: 'herald-identity', interface: 'herald:identity/verifier@0.1.0' },
  { capability: 'herald-identity', interface: 'herald:identity/x509@0.1.0' },
  { capability: 'credentials', interface: 'herald:credentials/store@0.1.0' },
  { capability: 'egress', interface: 'herald:egress/signing@0.1.0' },
  { capability: 'config', interface: 'wasi:config/store@0.2.0-rc.1' },
  { capability: 'config', interface: 'wasi:config/store@0.2.0-draft' },
  { capability: 'config', interface: 'wasi:config/runtime@0.2.0-draft' },
  { capability: 'logging', interface: 'wasi:logging/logging@0.1.0-draft' },
  { capability: 'keyvalue', interface: 'wasi:keyvalue/store@0.2.0-draft' },
  { capability: 'keyvalue', interface: 'wasi:keyvalue/atomics@0.2.0-draft' },
  { capability: 'keyvalue', interface: 'wasi:keyvalue/batch@0.2.0-draft' },
  { capability: 'messaging', interface: 'wasmcloud:messaging/consumer@0.2.0' },
  { capability: 'messaging', interface: 'wasmcloud:messaging/types@0.2.0' },
  { capability: 'blobstore', interface: 'wasi:blobstore/blobstore@0.2.0-draft' },
  { capability: 'blobstore', interface: 'wasi:blobstore/container@0.2.0-draft' },
  { capability: 'blobstore', interface: 'wasi:blobstore/types@0.2.0-draft' },
  { capability: 'secrets', interface: 'wasmcloud:secrets/store@1.0.0' },
  { capability: 'secrets', interface: 'wasmcloud:secrets/reveal@1.0.0' },
  { capability: 'secrets', interface: 'wasmcloud:secrets/store@0.1.0-draft' },
  { capability: 'secrets', interface: 'wasmcloud:secrets/reveal@0.1.0-draft' },
]

export type AssessedImport =
  | { readonly name: string; readonly served: 'wasi' }
  /** Only for workloads that list it in hostInterfaces. */
  | { readonly name: string; readonly served: 'capability'; readonly capability: string }
  | { readonly name: string; readonly served: false; readonly reason: string }

export type Assessment = {
  readonly runnable: boolean
  readonly imports: readonly AssessedImport[]
  readonly exports: readonly { readonly name: string; readonly startedBy: 'http' | 'run' | undefined }[]
  /** Why this host does not run it; empty when it does. */
  readonly refusals: readonly string[]
}

/** What this host would say to a component at deploy, without deploying it. */
export function assessComponent(description: ComponentDescription): Assessment {
  const imports = description.imports.map(assessImport)
  const exports = description.exports.map(({ name }) => ({ name, startedBy: startedBy(name) }))
  const refusals = imports.flatMap((found) =>
    found.served === false ? [`it imports ${found.name}: ${found.reason}`] : [],
  )
  const foreignExport = unsupportedWasi(description.exports)
  if (!exports.some((found) => found.startedBy !== undefined)) {
    refusals.push(
      foreignExport === undefined
        ? 'it exports neither wasi:http/incoming-handler nor wasi:cli/run, so there is nothing to start'
        : `it exports ${foreignExport}: this host starts components of WASI 0.2`,
    )
  }
  const needsMb = description.minimumMemoryBytes / 2 ** 20
  if (needsMb > defaultLimits.memoryLimitMb) {
    refusals.push(
      `it needs at least ${Math.ceil(needsMb)} MiB of memory, and a component gets ${defaultLimits.memoryLimitMb} MiB`,
    )
  }
  return { runnable: refusals.length === 0, imports, exports, refusals }
}

function assessImport(found: ComponentDescription['imports'][number]): AssessedImport {
  const { name } = found
  if (unsupportedWasi([found]) !== undefined) return { name, served: false, reason: 'this host serves WASI 0.2' }
  if (wasiInterfaces.some((served) => servesInterface(served, name))) return { name, served: 'wasi' }
  const match = capabilityInterfaces.find((offered) => servesInterface(offered.interface, name))
  if (match !== undefined) return { name, served: 'capability', capability: match.capability }
  return { name, served: false, reason: 'this host does not serve it' }
}

function startedBy(name: string): 'http' | 'run' | undefined {
  if (servesInterface('wasi:http/incoming-handler@0.2.0', name)) return 'http'
  return servesInterface('wasi:cli/run@0.2.0', name) ? 'run' : undefined
}
