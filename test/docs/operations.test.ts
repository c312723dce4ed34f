// docs/operations/alerts.rules.yaml and grafana-dashboard.json name metrics, labels and error codes: all of them must be a host's own.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { errorCodes } from '../../src/errors/error-codes.ts'
import { type MetricDefinition, type MetricName, metricCatalog } from '../../src/observability/metric-catalog.ts'
import type { MetricPoint } from '../../src/observability/metrics.ts'
import { prometheusText } from '../../src/observability/prometheus-text.ts'
import { readExpression } from './prometheus-expression.ts'

const directory = join(import.meta.dirname, '../../docs/operations')
const read = (name: string): string => readFileSync(join(directory, name), 'utf8')

type Rule = {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}
const { groups } = parse(read('alerts.rules.yaml')) as { groups: { name: string; rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

type Panel = { readonly id: number; readonly title: string; readonly targets?: readonly { readonly expr: string }[] }
const dashboard = JSON.parse(read('grafana-dashboard.json')) as { uid: string; panels: Panel[] }

/** What a scrape gives when every metric has one series with all of its attributes: sample name → labels. */
const exported = sampleNames()

const sources = [
  ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))),
]

test('every metric that an alert or a panel reads is one that a host exports', () => {
  assert.deepEqual(sources.flatMap(problemsOf), [])
})

test('a name, a label or an error code that no host exports is found', () => {
  const problems = (expr: string) => problemsOf({ where: 'x', expr })
  assert.deepEqual(problems('rate(herald_cell_trap_total[5m]) > 0'), ['x: no metric herald_cell_trap_total'])
  assert.deepEqual(problems('herald_cell_traps'), ['x: no metric herald_cell_traps'], 'the serializer adds _total')
  assert.deepEqual(problems('sum by (workload) (herald_cell_instances)'), ['x: no label workload'])
  assert.deepEqual(problems('herald_workload_count{herald_workload_state="broken"}'), [
    'x: herald_workload_state is never "broken"',
  ])
  assert.deepEqual(problems('herald_identity_refusals_total{error_type=~"ERR_NO_SUCH|ERR_SVID_AMBIGUOUS"}'), [
    'x: error_type is never "ERR_NO_SUCH"',
  ])
  assert.deepEqual(problems('1 > 0'), ['x: reads no metric'])
})

test('every metric of identity, workloads and requests is in the dashboard', () => {
  const shown = new Set(
    dashboard.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => readExpression(expr).metrics)),
  )
  const missing = Object.keys(metricCatalog)
    .filter((name) => /^(herald|http)\./.test(name))
    .filter((name) => ![...shown].some((each) => exported.get(each)?.metric === name))
  assert.deepEqual(missing, [])
})

test('every alert has a name of its own, a severity, a summary and what to do, and the guide describes it', () => {
  const guide = read('README.md')
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(warning|critical)$/, alert)
    assert.ok(annotations.summary.length > 10 && annotations.description.length > 10, alert)
    assert.ok(guide.includes(`\`${alert}\``), `docs/operations/README.md does not say what to do about ${alert}`)
  }
})

test('panels have ids of their own', () => {
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
})

function problemsOf({ where, expr }: { where: string; expr: string }): string[] {
  const { metrics, labels } = readExpression(expr)
  const problems: string[] = metrics.length === 0 ? [`${where}: reads no metric`] : []
  const known = new Map<string, Set<string>>([['instance', new Set()]])
  for (const name of metrics) {
    const sample = exported.get(name)
    if (sample === undefined) problems.push(`${where}: no metric ${name}`)
    for (const [label, values] of sample?.labels ?? []) known.set(label, values)
  }
  if (problems.length > 0) return problems
  for (const { name, operator, value = '' } of labels) {
    const values = known.get(name)
    if (values === undefined) problems.push(`${where}: no label ${name}`)
    else if (operator !== undefined && values.size > 0) {
      for (const each of operator.endsWith('~') ? alternatives(value) : [value]) {
        const pattern = new RegExp(`^(?:${operator.endsWith('~') ? each : RegExp.escape(each)})$`)
        if (![...values].some((text) => pattern.test(text))) problems.push(`${where}: ${name} is never "${each}"`)
      }
    }
  }
  return problems
}

/** `A|B(C|D)` → `A`, `B(C|D)`. */
function alternatives(pattern: string): string[] {
  return pattern.split(/\|(?![^(]*\))/)
}

/** Labels map to the values they may have; an empty set where these are not fixed. */
function sampleNames(): Map<string, { metric: string; labels: Map<string, Set<string>> }> {
  const found = new Map<string, { metric: string; labels: Map<string, Set<string>> }>()
  for (const [metric, definition] of Object.entries<MetricDefinition>(metricCatalog)) {
    const attributes = Object.fromEntries(Object.keys(definition.attributes ?? {}).map((name) => [name, 'x']))
    const point =
      definition.kind === 'histogram'
        ? { name: metric as MetricName, attributes, counts: [1], sumS: 1, count: 1 }
        : { name: metric as MetricName, attributes, value: 1 }
    const text = prometheusText([point as MetricPoint], { resource: {}, startedAt: new Date(0), now: new Date(1) })
    for (const [, name = '', list = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+ ?\d*$/gm)) {
      if (name === 'target_info') continue
      const labels = new Map<string, Set<string>>()
      for (const [, label = ''] of list.matchAll(/(\w+)="/g)) {
        const attribute = Object.keys(definition.attributes ?? {}).find((each) => each.replaceAll('.', '_') === label)
        labels.set(label, valuesOf(attribute, definition))
      }
      found.set(name, { metric, labels })
    }
  }
  return found
}

/** The values that the catalog promises: codes for `error.type`, those between backquotes elsewhere. */
function valuesOf(attribute: string | undefined, { attributes = {} }: MetricDefinition): Set<string> {
  if (attribute === 'error.type') return new Set(Object.keys(errorCodes))
  const promised = [...(attributes[attribute ?? ''] ?? '').matchAll(/`([^`]+)`/g)].map(([, value = '']) => value)
  return new Set(attribute === 'herald.workload.state' || attribute === 'cpu.mode' ? promised : [])
}
