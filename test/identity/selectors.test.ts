import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ComponentFacts } from '../../src/identity/component-facts.ts'
import { formatSelector, selectorsOf } from '../../src/identity/selectors.ts'
import { componentFacts } from './component-facts-sample.ts'

const stated = (facts: Partial<ComponentFacts>): string[] => selectorsOf(componentFacts(facts)).map(formatSelector)

test('every fact of the host becomes one selector under its own key', () => {
  assert.deepEqual(
    stated({ environment: 'production', hostLabels: { zone: 'eu-1', 'topology.kubernetes.io/region': 'eu' } }).sort(),
    [
      'wasmcloud:component:api-gateway',
      'wasmcloud:environment:production',
      'wasmcloud:host-label:topology.kubernetes.io/region:eu',
      'wasmcloud:host-label:zone:eu-1',
      `wasmcloud:image-digest:sha256:${'ab'.repeat(32)}`,
      'wasmcloud:image:ghcr.io/acme/api-gateway:1.0',
      'wasmcloud:lattice:default',
      'wasmcloud:namespace:shop',
      'wasmcloud:workload:gateway',
    ],
  )
})

test('the id of a workload and an environment that is not set make no selector', () => {
  const selectors = stated({ workloadId: 'component:admin', environment: undefined })
  assert.ok(!selectors.some((selector) => /admin|environment/.test(selector)))
})

const victim = 'wasmcloud:component:admin'
for (const [what, facts] of Object.entries<Partial<ComponentFacts>>({
  'a label named component': { hostLabels: { component: 'admin' } },
  'a label whose value is a selector': { hostLabels: { x: 'component:admin' } },
  'a label whose value is a whole selector': { hostLabels: { x: victim } },
  'a namespace that is a selector': { namespace: 'component:admin' },
  'a workload name that is a selector': { workloadName: victim },
  'a lattice that is a selector': { lattice: 'component:admin' },
  'an environment that is a selector': { environment: 'component:admin' },
  'an image that is a selector': { image: 'component:admin' },
  'a component name with another in it': { componentName: 'x:component:admin' },
  'a component name with a comma': { componentName: 'x,component:admin' },
  'a component name with a slash and a dot-dot': { componentName: 'x/../admin' },
  'a component name with a percent sign': { componentName: '%61dmin' },
  'a component name in capitals': { componentName: 'Admin' },
  'a component name in full-width letters': { componentName: 'ａdmin' },
})) {
  test(`${what} does not forge ${victim}`, () => assert.ok(!stated(facts).includes(victim)))
}

for (const [what, facts] of Object.entries<Partial<ComponentFacts>>({
  'a label key with a colon': { hostLabels: { 'a:b': 'c' } },
  'an empty label key': { hostLabels: { '': 'c' } },
  'a label key with a newline': { hostLabels: { 'a\nb': 'c' } },
  'a label key with white space': { hostLabels: { 'a b': 'c' } },
  'an empty component name': { componentName: '' },
  'an empty namespace': { namespace: '' },
  'an empty environment': { environment: '' },
  'a component name with a newline': { componentName: 'x\nadmin' },
  'a component name with a NUL': { componentName: 'admin\0' },
  'a component name with white space around it': { componentName: 'admin ' },
  'a component name with a lone surrogate': { componentName: 'admin\ud800' },
  'a component name with a line separator': { componentName: 'a\u2028b' },
  'a component name of 3 KB': { componentName: 'a'.repeat(3000) },
  'a digest that is none': { imageDigest: 'latest' },
  'a digest in capitals': { imageDigest: `sha256:${'AB'.repeat(32)}` },
})) {
  test(`${what} is refused`, () => assert.throws(() => stated(facts), { code: 'ERR_SELECTOR_FACT_INVALID' }))
}
