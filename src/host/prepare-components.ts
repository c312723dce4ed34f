import type { Capability } from '../capabilities/capability.ts'
import { interfaceOf, isCallable, servesInterface } from '../engine/component-imports.ts'
import type { ComponentDescription, ComponentLimits, ComponentLink, Engine } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { ComponentFacts } from '../identity/component-facts.ts'
import { type CellSettings, parseCellSettings } from '../manifest/cell-settings.ts'
import type { ImageSource } from '../manifest/image-source.ts'
import {
  type LocalResources,
  serviceComponentName,
  type Workload,
  type WorkloadComponent,
  type WorkloadService,
} from '../manifest/workload.ts'
import { measured, type Tracer } from '../observability/tracer.ts'
import { wasiInterfaces } from '../wasi/wasi-interfaces.ts'
import type { WitFunction } from '../wit/wit-type.ts'
import { type Grant, grantImports } from './grant-imports.ts'
import { grantListed } from './grant-listed.ts'
import { linkComponents } from './link-components.ts'

/** A component that was read and checked, before anything of it runs. */
export type PreparedComponent = {
  /** What the host itself found out; the only source of selectors. */
  readonly facts: ComponentFacts
  readonly bytes: Uint8Array
  /** `handler`: only capabilities call it. `callee`: only other components do. */
  readonly role: 'http' | 'run' | 'service' | 'handler' | 'callee'
  readonly grants: readonly Grant[]
  /** What other components of the workload serve to it. */
  readonly links: readonly ComponentLink[]
  /** Functions that can be called from outside, by the interface's name with version. */
  readonly callable: ReadonlyMap<string, readonly WitFunction[]>
  readonly limits: ComponentLimits
  readonly resources: LocalResources
  readonly warnings: readonly string[]
}

export type PrepareContext = {
  readonly engine: Engine
  readonly images: ImageSource
  readonly capabilities: readonly Capability[]
  readonly lattice: string
  readonly environment: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly limits: ComponentLimits
  readonly tracer?: Tracer | undefined
}

/**
 * Reads all components of a workload, and decides what each may import and how it is run.
 * @throws HeraldError of the images, of the engine, ERR_WORKLOAD_IMPORT_DENIED, ERR_WORKLOAD_NOTHING_TO_RUN, ERR_WORKLOAD_LINK_…
 */
export async function prepareComponents(
  workload: Workload,
  workloadId: string,
  context: PrepareContext,
  { signal }: { signal: AbortSignal },
): Promise<readonly PreparedComponent[]> {
  const units: { name: string; unit: WorkloadComponent | WorkloadService; isService: boolean }[] = [
    ...workload.components.map((unit) => ({ name: unit.name, unit, isService: false })),
    ...(workload.service === undefined
      ? []
      : [{ name: serviceComponentName, unit: workload.service, isService: true }]),
  ]
  const read = await Promise.all(
    units.map(async ({ name, unit, isService }) => {
      const about = {
        ...{ 'herald.workload.namespace': workload.namespace, 'herald.workload.name': workload.name },
        'herald.component.name': name,
      }
      const { bytes, digest } = await measured(context.tracer, 'herald.image.pull', about, async (span) => {
        const image = await context.images.fetch(unit.image, { signal, pullPolicy: unit.imagePullPolicy })
        span?.set({ 'herald.image.digest': image.digest })
        return image
      })
      return {
        name,
        unit,
        isService,
        bytes,
        digest,
        description: await context.engine.inspect(bytes, { signal, quick: true, tenant: workload.namespace }),
      }
    }),
  )
  const settings = parseCellSettings(workload.hostInterfaces)
  const served = [...wasiInterfaces, ...context.capabilities.flatMap(({ interfaces }) => interfaces)]
  const links = linkComponents(read, served, workload.hostInterfaces)
  const linked = new Set([...links.values()].flat().map(({ component }) => component))
  return read.map(({ name, unit, isService, bytes, digest, description }) => {
    const handled = context.capabilities.flatMap(({ handles = [] }) => handles)
    const listed = grantListed(name, description, context.capabilities, workload.hostInterfaces, served)
    const role = roleOf(name, description, isService, handled, listed)
    return {
      facts: {
        lattice: context.lattice,
        namespace: workload.namespace,
        workloadName: workload.name,
        workloadId,
        componentName: name,
        image: unit.image.reference,
        imageDigest: digest,
        environment: context.environment,
        hostLabels: context.labels,
      },
      bytes,
      role,
      grants: [...grantImports(name, description, context.capabilities, workload.hostInterfaces), ...listed],
      links: links.get(name) ?? [],
      callable: new Map(
        callableExports(description).map((each) => [each, description.signatures?.exports.get(each) ?? []]),
      ),
      limits: limitsOf(unit, context.limits, settings),
      resources: unit.resources,
      warnings: warningsOf(name, unit, description, role, linked.has(name)),
    }
  })
}

/** @throws ERR_WORKLOAD_NOTHING_TO_RUN */
function roleOf(
  name: string,
  description: ComponentDescription,
  isService: boolean,
  handled: readonly string[],
  listed: readonly Grant[],
): PreparedComponent['role'] {
  const runs = exports(description, 'wasi:cli/run@0.2.0')
  const handles = exports(description, 'wasi:http/incoming-handler@0.2.0')
  if (isService && runs) return 'service'
  if (!isService && handles) return 'http'
  if (!isService && handled.some((wanted) => exports(description, wanted))) return 'handler'
  if (!isService && listed.some((grant) => (grant.listed?.exports.length ?? 0) > 0)) return 'handler'
  if (!isService && runs) return 'run'
  if (!isService && callableExports(description).length > 0) return 'callee'
  const found = description.exports.map((interface_) => interface_.name).join(', ')
  const wanted = isService
    ? 'wasi:cli/run of WASI 0.2'
    : ['wasi:http/incoming-handler', 'wasi:cli/run of WASI 0.2', ...handled].join(' or ')
  throw new HeraldError(
    'ERR_WORKLOAD_NOTHING_TO_RUN',
    `component ${name} exports ${found === '' ? 'nothing' : found}, but not ${wanted}`,
    {
      hint: 'a host starts components by these exports only, or for another component of the workload that imports what it exports',
    },
  )
}

function callableExports({ exports, signatures }: ComponentDescription): string[] {
  return exports.flatMap((each) => (isCallable(each, signatures?.exports.get(each.name)) ? [each.name] : []))
}

const exports = (description: ComponentDescription, wanted: string): boolean =>
  description.exports.some(({ name }) => servesInterface(name, wanted))

/** A workload may ask for less memory than the host gives, never for more. */
function limitsOf(
  unit: WorkloadComponent | WorkloadService,
  hostLimits: ComponentLimits,
  settings: CellSettings,
): ComponentLimits {
  const { memoryLimitMb: mostMb } = hostLimits
  const wanted = [unit.resources.memoryLimitMb, settings.memoryLimitMb].map((megabytes = mostMb) => megabytes)
  const limits = { ...hostLimits, memoryLimitMb: Math.min(mostMb, ...wanted) }
  if (!('poolSize' in unit)) return limits
  return {
    ...limits,
    ...(unit.poolSize !== undefined && { poolSize: unit.poolSize }),
    ...(unit.maxInvocations !== undefined && { maxInvocations: unit.maxInvocations }),
  }
}

function warningsOf(
  name: string,
  { resources }: WorkloadComponent | WorkloadService,
  description: ComponentDescription,
  role: PreparedComponent['role'],
  isLinked: boolean,
): string[] {
  const warnings: string[] = []
  if (role === 'callee' && !isLinked) {
    const callable = callableExports(description).join(', ')
    warnings.push(`${name} exports ${callable}, which no other component of its workload imports`)
  }
  if (
    Object.keys(resources.config).length > 0 &&
    !description.imports.some((found) => interfaceOf(found).startsWith('wasi:config/'))
  ) {
    warnings.push(`${name} has localResources.config, but does not import wasi:config/store: it cannot see it`)
  }
  if (role === 'http' && exports(description, 'wasi:cli/run@0.2.0')) {
    warnings.push(`${name} exports wasi:cli/run beside wasi:http/incoming-handler: it answers HTTP, and is not run`)
  }
  return warnings
}
