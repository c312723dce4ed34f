// Writes docs/metrics.md from src/observability/metric-catalog.ts. A test fails when it has not been run after a change of the catalog.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  durationBoundsS,
  type MetricDefinition,
  type MetricName,
  metricCatalog,
} from '../src/observability/metric-catalog.ts'
import { prometheusBaseName } from '../src/observability/prometheus-text.ts'

export const metricDocsPath = join(import.meta.dirname, '..', 'docs', 'metrics.md')

/** The whole of docs/metrics.md. */
export function metricDocs(): string {
  const rows = Object.entries<MetricDefinition>(metricCatalog).map(
    ([name, { kind, unit, description, attributes }]) => {
      const shown = Object.entries(attributes ?? {}).map(([attribute, values]) => `\`${attribute}\`: ${values}`)
      const cells = [
        `\`${name}\`<br>\`${inPrometheus(name as MetricName)}\``,
        kind,
        unit,
        description,
        shown.join('<br>'),
      ]
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
    },
  )
  return `<!-- Generated from src/observability/metric-catalog.ts by scripts/generate-metric-docs.ts: do not edit. -->
# Probes and metrics of a host

\`herald host --health :8081\` answers on a port of its own, without authentication; nothing secret is ever in an answer. Reach it from probes and
scrapers only.

| path | answer |
|---|---|
| \`GET /livez\` | 200 while the event loops of the control thread and of every ingress thread turn (2 s), and every cell that had to be ended has ended (10 s); else 503. A guest that does not yield is no failure: its cell is ended and started anew. |
| \`GET /readyz\` | 200 once HTTP takes requests and the workloads of \`-f\` serve and, with \`--nats\`, NATS was connected once; 503 before, from SIGTERM on, and while another host with the same \`--host-id\` that was started before is on the lattice: this one then answers nothing there and takes no work (\`control.silent\` in its log). A later loss of NATS or SPIRE does not make it unready: what runs goes on serving. |
| \`GET /metrics\` | the metrics below, in the text format of Prometheus |

The first two answer JSON, \`{"status": …, "reasons": […]}\`. Give the probe of \`/livez\` a \`timeoutSeconds\` of 3.

## Metrics

Names, attributes and units are those of OpenTelemetry's conventions where there is one, else \`herald.*\`; below each the name in Prometheus, where attributes
have \`_\` for \`.\`. The unit also stands in the \`# UNIT\` line. No attribute holds a token, or anything that a guest or a client chose freely; a
metric has at most 200 series that are counted by what is sent (what is beyond is counted under \`otel.metric.overflow="true"\`), and series of
workloads exist as long as the workload is on the host. \`target_info\` names the version and, with \`--host-id\`, the host.

| name | kind | unit | meaning | attributes |
|---|---|---|---|---|
${rows.join('\n')}

Bounds of the buckets of durations, seconds: ${durationBoundsS.join(', ')}.
`
}

function inPrometheus(name: MetricName): string {
  return `${prometheusBaseName(name)}${{ counter: '_total', gauge: '', histogram: '_bucket' }[metricCatalog[name].kind]}`
}

if (import.meta.main) await writeFile(metricDocsPath, metricDocs())
