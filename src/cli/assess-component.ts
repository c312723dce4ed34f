import { interfaceOf, isCallable, servesInterface, unsupportedWasi } from '../engine/component-imports.ts'
import { defaultLimits } from '../engine/default-limits.ts'
import type { ComponentDescription, WitInterface } from '../engine/engine.ts'
import { wasiInterfaces } from '../wasi/wasi-interfaces.ts'
import { describeSignature, unsupportedIn, type WitFunction } from '../wit/wit-type.ts'

/** Beside WASI: what the capabilities that wire-host.ts puts into a host serve. A test compares it with them. */
export const capabilityInterfaces: readonly { readonly capability: string; readonly interface: string }[] = [
  { capability: 'identity', interface: 'wasmcloud:identity/store@0.0.1' },
  { capability: 'herald-identity', interface: 'herald:identity/component@0.1.0' },
  { capability: 'herald-identity', interface: 'herald:identity/verifier@0.1.0' },
  { capability: 'herald-identity', interface: 'herald:identity/x509@0.1.0' },
  { capability: 'herald-identity', interface: 'herald:identity/caller@0.1.0' },
  { capability: 'credentials', interface: 'herald:credentials/store@0.1.0' },
  { capability: 'credential-files', interface: 'herald:credentials/files@0.1.0' },
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
  /** Linked to another component of its workload, if one exports it; refused without. */
  | { readonly name: string; readonly served: 'component' }
  /** It has no functions: nothing has to be served. */
  | { readonly name: string; readonly served: 'types' }
  | { readonly name: string; readonly served: false; readonly reason: string }

export type AssessedExport = {
  readonly name: string
  /** `call`: other components of its workload call it. */
  readonly startedBy: 'http' | 'run' | 'call' | undefined
  /** With `call`: `balance(account: string) -> u64`. */
  readonly functions?: readonly string[]
}

export type Assessment = {
  readonly runnable: boolean
  readonly imports: readonly AssessedImport[]
  readonly exports: readonly AssessedExport[]
  /** Why this host does not run it; empty when it does. */
  readonly refusals: readonly string[]
}

/** What this host would say to a component at deploy, without deploying it. */
export function assessComponent(description: ComponentDescription): Assessment {
  const { signatures } = description
  const imports = description.imports.map((found): AssessedImport => {
    const assessed = assessImport(found, signatures?.imports.get(found.name))
    if (assessed.served !== false || signatures?.typesOnly.includes(found.name) !== true) return assessed
    return { name: assessed.name, served: 'types' }
  })
  const exports = description.exports.map((found) => assessExport(found, signatures?.exports.get(found.name)))
  const refusals = imports.flatMap((found) =>
    found.served === false ? [`it imports ${found.name}: ${found.reason}`] : [],
  )
  const foreignExport = unsupportedWasi(description.exports)
  if (!exports.some((found) => found.startedBy !== undefined)) {
    refusals.push(
      foreignExport === undefined
        ? 'it exports neither wasi:http/incoming-handler nor wasi:cli/run, nor functions for other components, so there is nothing to start'
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

function assessImport(
  found: ComponentDescription['imports'][number],
  signatures: readonly WitFunction[] = [],
): AssessedImport {
  const wanted = interfaceOf(found)
  const name = found.implements === undefined ? wanted : `${wanted} as ${JSON.stringify(found.name)}`
  if (unsupportedWasi([found]) !== undefined) return { name, served: false, reason: 'this host serves WASI 0.2' }
  if (wasiInterfaces.some((served) => servesInterface(served, wanted))) {
    if (found.implements === undefined) return { name, served: 'wasi' }
    return { name, served: false, reason: 'the host’s own WASI is not served under labels' }
  }
  const match = capabilityInterfaces.find((offered) => servesInterface(offered.interface, wanted))
  if (match !== undefined) return { name, served: 'capability', capability: match.capability }
  if (isCallable(found, signatures)) return { name, served: 'component' }
  const obstacle = signatures.map(unsupportedIn).find((each) => each !== undefined)
  const reason = 'this host does not serve it'
  return {
    name,
    served: false,
    reason: obstacle === undefined ? reason : `${reason}, and no other component can: its functions have ${obstacle}`,
  }
}

function assessExport(found: WitInterface, signatures: readonly WitFunction[] = []): AssessedExport {
  const { name } = found
  if (servesInterface('wasi:http/incoming-handler@0.2.0', name)) return { name, startedBy: 'http' }
  if (servesInterface('wasi:cli/run@0.2.0', name)) return { name, startedBy: 'run' }
  if (!isCallable(found, signatures)) return { name, startedBy: undefined }
  return { name, startedBy: 'call', functions: signatures.map((each) => `${each.name}${describeSignature(each)}`) }
}
