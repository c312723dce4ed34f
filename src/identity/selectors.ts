import { HeraldError } from '../errors/herald-error.ts'
import type { ComponentFacts } from './component-facts.ts'

/** What SPIRE matches registration entries against. An entry matches when all of its selectors are among those stated. */
export type Selector = { readonly type: 'wasmcloud'; readonly value: string }

/** Longest selector value, bytes of UTF-8. */
const maxValueBytes = 2048

/**
 * The selectors of a component: facts of the host, each under a key of its own, so that no value can form another key's selector.
 * A fact that the host does not have makes no selector.
 * @throws ERR_SELECTOR_FACT_INVALID when a fact is empty, too long, holds control characters or is not well-formed text.
 */
export function selectorsOf(facts: ComponentFacts): readonly Selector[] {
  const selectors: Selector[] = [
    selector('component', facts.componentName),
    selector('namespace', facts.namespace),
    selector('workload', facts.workloadName),
    selector('lattice', facts.lattice),
    selector('image', facts.image),
    selector('image-digest', checkDigest(facts.imageDigest)),
  ]
  if (facts.environment !== undefined) selectors.push(selector('environment', facts.environment))
  for (const [key, value] of Object.entries(facts.hostLabels)) {
    // The key may hold no colon: {"a": "b:c"} and {"a:b": "c"} would else be one selector.
    if (!/^[A-Za-z0-9._/-]+$/.test(key)) {
      throw invalid('host label', key, 'its key may hold letters, digits, ".", "-", "_" and "/" only')
    }
    selectors.push(selector('host-label', `${key}:${value}`))
  }
  return selectors
}

/** `wasmcloud:component:api-gateway`, as `spire-server entry create -selector` takes it. */
export function formatSelector({ type, value }: Selector): string {
  return `${type}:${value}`
}

/** The value of a fact among the selectors: `factOf(selectors, 'lattice')`. */
export function factOf(selectors: readonly Selector[], key: 'component' | 'lattice'): string | undefined {
  return selectors.find(({ value }) => value.startsWith(`${key}:`))?.value.slice(key.length + 1)
}

function selector(key: string, fact: string): Selector {
  if (fact === '') throw invalid(key, fact, 'it is empty')
  // Lone surrogates would all become U+FFFD on the wire: two different names, one selector.
  if (!fact.isWellFormed()) throw invalid(key, fact, 'it is not well-formed Unicode')
  if (/\p{Cc}|\p{Zl}|\p{Zp}/u.test(fact)) throw invalid(key, fact, 'it holds control characters')
  if (fact !== fact.trim()) throw invalid(key, fact, 'it begins or ends with white space')
  const value = `${key}:${fact}`
  if (Buffer.byteLength(value) > maxValueBytes) throw invalid(key, fact, `it is longer than ${maxValueBytes} bytes`)
  return { type: 'wasmcloud', value }
}

function checkDigest(digest: string): string {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw invalid('image-digest', digest, 'it is not sha256:<64 hex digits>')
  return digest
}

function invalid(key: string, fact: string, why: string): HeraldError {
  return new HeraldError(
    'ERR_SELECTOR_FACT_INVALID',
    `the ${key} ${JSON.stringify(fact.slice(0, 200))} cannot be made into a selector: ${why}`,
    { hint: 'change the name, label or reference in the manifest or in the configuration of the host' },
  )
}
