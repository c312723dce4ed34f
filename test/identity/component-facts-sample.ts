import type { ComponentFacts } from '../../src/identity/component-facts.ts'

/** Facts of a component that does not exist. */
export function componentFacts(overrides: Partial<ComponentFacts> = {}): ComponentFacts {
  return {
    lattice: 'default',
    namespace: 'shop',
    workloadName: 'gateway',
    workloadId: 'w-1',
    componentName: 'api-gateway',
    image: 'ghcr.io/acme/api-gateway:1.0',
    imageDigest: `sha256:${'ab'.repeat(32)}`,
    environment: undefined,
    hostLabels: {},
    ...overrides,
  }
}
