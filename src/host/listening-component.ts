import { HeraldError } from '../errors/herald-error.ts'
import type { PreparedComponent } from './prepare-components.ts'

/** The one component that a workload's own address belongs to. @throws ERR_WORKLOAD_HTTP_AMBIGUOUS, ERR_COMPONENT_EXPORT_MISSING */
export function listeningComponent(workloadName: string, components: readonly PreparedComponent[]): string {
  const [component, ...others] = components
    .filter(({ role }) => role === 'http')
    .map(({ facts }) => facts.componentName)
  if (component === undefined) {
    throw new HeraldError(
      'ERR_COMPONENT_EXPORT_MISSING',
      `${workloadName} asks to listen itself, and no component of it exports wasi:http/incoming-handler`,
      { hint: 'take listen out of the herald:cell entry' },
    )
  }
  if (others.length === 0) return component
  throw new HeraldError(
    'ERR_WORKLOAD_HTTP_AMBIGUOUS',
    `${[component, ...others].join(' and ')} export wasi:http/incoming-handler, and ${workloadName} has one address to listen on`,
    { hint: 'put them into workloads of their own, or let the ingress tell them apart by host' },
  )
}
