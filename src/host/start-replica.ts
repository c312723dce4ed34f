import { parseInterfaceName } from '../engine/component-imports.ts'
import type { Cell, CellIsolation, ComponentSpec, Engine } from '../engine/engine.ts'
import { parseCellSettings } from '../manifest/cell-settings.ts'
import type { Workload } from '../manifest/workload.ts'
import type { Log } from '../observability/log.ts'
import { isolationOf } from './cell-isolation.ts'
import { cpuLimitOf } from './cpu-limit.ts'
import type { Grant } from './grant-imports.ts'
import { mountVolumes } from './mount-volumes.ts'
import type { PreparedComponent } from './prepare-components.ts'

/** One cell with all its components, and what it holds. */
export interface Replica {
  readonly cell: Cell
  /** Calls in flight may finish within `drainTimeoutMs`; then the cell ends, and bindings and volumes with it. Idempotent. */
  close(options: { drainTimeoutMs: number }): Promise<void>
}

export type ReplicaContext = {
  readonly engine: Engine
  readonly log: Log
  readonly deniedAddresses: readonly string[]
  readonly allowedHostPaths: readonly string[]
  readonly idleTimeoutMs: number
  readonly isolation?: CellIsolation
  /** See `CellSpec`. */
  readonly cpuLimitMillicores?: number
}

function servedBy({ capability, listed, labelled }: Grant): readonly string[] {
  if (labelled !== undefined) return [labelled.label]
  return [...capability.interfaces, ...(listed?.imports ?? []).map(({ name, label }) => label ?? name)]
}

function waitsOf({ capability, listed, labelled }: Grant): readonly string[] {
  if (labelled !== undefined) {
    const of = `${labelled.interface}#`
    return capability.waits.flatMap((each) =>
      each.startsWith(of) ? [`${labelled.label}#${each.slice(of.length)}`] : [],
    )
  }
  const own = (listed?.imports ?? []).flatMap(({ name, label, functions }) =>
    functions.map((fn) => `${label ?? parseInterfaceName(name).base}#${fn.name}`),
  )
  return [...capability.waits, ...own]
}

/** Configures capabilities, mounts volumes and starts a cell; releases all of it when one of them fails. @throws HeraldError */
export async function startReplica(
  workload: Workload,
  workloadId: string,
  components: readonly PreparedComponent[],
  { engine, log, deniedAddresses, allowedHostPaths, ...defaults }: ReplicaContext,
  { signal }: { signal: AbortSignal },
): Promise<Replica> {
  await using stack = new AsyncDisposableStack()
  const volumes = stack.use(await mountVolumes(workload.volumes, { allowedHostPaths }))
  const specs: ComponentSpec[] = []
  for (const { facts, bytes, grants, links, limits, resources } of components) {
    const bindings = []
    for (const { capability, entries, exported, listed } of grants) {
      const binding = await capability.configure(facts, entries, {
        ...{ signal, exported, localConfig: resources.config },
        ...(listed !== undefined && { listed }),
      })
      stack.defer(() => binding.release())
      bindings.push(binding)
    }
    specs.push({
      name: facts.componentName,
      bytes,
      limits,
      environment: Object.assign({}, ...bindings.map(({ environment }) => environment), resources.environment),
      args: [facts.componentName],
      allowedHosts: resources.allowedHosts,
      allowedIpNameLookups: resources.allowedIpNameLookups,
      allowedHostLoopbackPorts: resources.allowedHostLoopbackPorts,
      preopens: [...volumes.preopensOf(resources.volumeMounts), ...bindings.flatMap(({ preopens = [] }) => preopens)],
      bindings,
      capabilityInterfaces: grants.flatMap(servedBy),
      capabilityWaits: grants.flatMap(waitsOf),
      labels: grants.flatMap(({ labelled }, binding) => (labelled === undefined ? [] : [{ ...labelled, binding }])),
      links,
    })
  }
  const settings = parseCellSettings(workload.hostInterfaces)
  const { idleTimeoutMs = defaults.idleTimeoutMs, listen } = settings
  const cpuLimitMillicores = cpuLimitOf(workload, settings, defaults.cpuLimitMillicores)
  const cell = stack.use(
    await engine.startCell(
      {
        name: workload.name,
        workloadId,
        tenant: workload.namespace,
        components: specs,
        deniedAddresses,
        isolation: isolationOf(workload, defaults.isolation, settings),
        listens: listen !== undefined,
        ...(cpuLimitMillicores !== undefined && { cpuLimitMillicores }),
        // A listener needs its thread.
        ...(listen === undefined && !actsByItself(components) && { idleTimeoutMs }),
      },
      { signal },
    ),
  )
  cell.onOutput(({ component, stream, text }) => {
    log.info({ event: 'component.output', workload: workload.name, component, stream, text }, text)
  })
  const owned = stack.move()
  return {
    cell,
    async close({ drainTimeoutMs }) {
      await using _ = owned
      await cell.close({ drainTimeoutMs })
    },
  }
}

/** A service runs all the time, and a capability may call what it handles at any. */
function actsByItself(components: readonly PreparedComponent[]): boolean {
  return components.some(
    ({ role, grants }) =>
      role === 'service' || grants.some(({ exported, listed }) => exported.length + (listed?.exports.length ?? 0) > 0),
  )
}
