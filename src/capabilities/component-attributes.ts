import type { ComponentFacts } from '../identity/component-facts.ts'

/** Of a span that tells of one component. */
export function componentAttributes({ namespace, workloadName, componentName }: ComponentFacts) {
  return {
    'herald.workload.namespace': namespace,
    'herald.workload.name': workloadName,
    'herald.component.name': componentName,
  }
}
