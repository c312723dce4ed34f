import type { HostSummary } from './controlled-host.ts'
import type { HostIdentity } from './host-identity.ts'
import type { MachineFacts } from './machine-facts.ts'
import type { HostHeartbeat, WireWitInterface } from './messages.ts'

export function makeHeartbeat(
  identity: HostIdentity,
  startedAt: Date,
  machine: MachineFacts,
  summary: HostSummary,
): HostHeartbeat {
  return {
    id: identity.hostId,
    hostname: identity.hostname,
    friendlyName: identity.friendlyName,
    version: identity.version,
    labels: identity.labels,
    startedAt,
    ...machine,
    componentCount: BigInt(summary.componentCount),
    workloadCount: BigInt(summary.workloadCount),
    imports: toWitInterfaces(summary.imports),
    exports: toWitInterfaces(summary.exports),
    httpPort: summary.httpPort,
    environment: identity.environment ?? '',
  }
}

/** `wasi:io/streams@0.2.3` and `wasi:io/poll@0.2.3` → one entry `wasi:io@0.2.3` with two interfaces, as the protocol groups them. */
export function toWitInterfaces(names: readonly string[]): WireWitInterface[] {
  const groups = new Map<string, { namespace: string; package: string; version: string; interfaces: string[] }>()
  for (const name of names) {
    const match = /^([^:/@]+):([^/@]+)\/([^@]+)(?:@(.+))?$/.exec(name)
    if (match === null) continue
    const [, namespace = '', packageName = '', interfaceName = '', version = ''] = match
    const key = `${namespace}:${packageName}@${version}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { namespace, package: packageName, version, interfaces: [interfaceName] })
    else if (!group.interfaces.includes(interfaceName)) group.interfaces.push(interfaceName)
  }
  return [...groups.values()].map((group) => ({ ...group, config: {}, name: '' }))
}
