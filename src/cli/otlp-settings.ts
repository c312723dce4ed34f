import { HeraldError } from '../errors/herald-error.ts'
import type { OtlpEndpoints } from '../observability/otlp-export.ts'
import type { TraceSampling } from '../observability/tracer.ts'

/** What is sent where, by OTLP. */
export type OtlpSettings = {
  readonly endpoints: OtlpEndpoints
  readonly sampling: TraceSampling
  readonly metricIntervalMs: number
  /** Of the resource: `service.name` and whatever `OTEL_RESOURCE_ATTRIBUTES` says. */
  readonly attributes: Readonly<Record<string, string>>
}

const signals = ['traces', 'metrics', 'logs'] as const
type Signal = (typeof signals)[number]

/**
 * The option, else the variables that OpenTelemetry's specification names; `undefined`: nothing is sent.
 * @throws ERR_USAGE for a value that cannot be used
 */
export function otlpSettings(
  endpoint: string | undefined,
  variables: Readonly<Record<string, string>>,
): OtlpSettings | undefined {
  if (endpoint === undefined && variables.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return undefined
  const protocol = variables.OTEL_EXPORTER_OTLP_PROTOCOL
  const base = endpoint ?? variables.OTEL_EXPORTER_OTLP_ENDPOINT
  const endpointOf = (signal: Signal): string | undefined => {
    const name = signal.toUpperCase()
    const exporter = variables[`OTEL_${name}_EXPORTER`]
    if (exporter === 'none') return undefined
    if (exporter !== undefined && exporter !== 'otlp') throw unusable(`OTEL_${name}_EXPORTER`, exporter, 'otlp or none')
    const own = endpoint === undefined ? variables[`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`] : undefined
    if (own !== undefined) return checkedUrl(`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`, own)
    if (base === undefined) return undefined
    const from = endpoint === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : '--otlp-endpoint'
    return `${checkedUrl(from, base).replace(/\/$/, '')}/v1/${signal}`
  }
  const endpoints = { traces: endpointOf('traces'), metrics: endpointOf('metrics'), logs: endpointOf('logs') }
  if (Object.values(endpoints).every((each) => each === undefined)) return undefined
  if (protocol !== undefined && !protocol.startsWith('http/'))
    throw unusable('OTEL_EXPORTER_OTLP_PROTOCOL', protocol, 'http/json: a collector takes it beside http/protobuf')
  const intervalMs = Number(variables.OTEL_METRIC_EXPORT_INTERVAL ?? 60_000)
  if (!(intervalMs >= 100 && intervalMs <= 86_400_000))
    throw unusable('OTEL_METRIC_EXPORT_INTERVAL', String(variables.OTEL_METRIC_EXPORT_INTERVAL), 'milliseconds')
  return {
    endpoints,
    sampling: samplingOf(variables),
    metricIntervalMs: intervalMs,
    attributes: {
      ...resourceAttributes(variables.OTEL_RESOURCE_ATTRIBUTES),
      ...(variables.OTEL_SERVICE_NAME !== undefined && { 'service.name': variables.OTEL_SERVICE_NAME }),
    },
  }
}

function samplingOf(variables: Readonly<Record<string, string>>): TraceSampling {
  const sampler = variables.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on'
  const parentBased = sampler.startsWith('parentbased_')
  const kind = sampler.replace(/^parentbased_/, '')
  if (kind === 'always_on') return { parentBased, ratio: 1 }
  if (kind === 'always_off') return { parentBased, ratio: 0 }
  if (kind !== 'traceidratio')
    throw unusable('OTEL_TRACES_SAMPLER', sampler, 'always_on, always_off or traceidratio, after parentbased_ perhaps')
  const ratio = Number(variables.OTEL_TRACES_SAMPLER_ARG ?? 1)
  if (!(ratio >= 0 && ratio <= 1))
    throw unusable('OTEL_TRACES_SAMPLER_ARG', String(variables.OTEL_TRACES_SAMPLER_ARG), 'a number from 0 to 1')
  return { parentBased, ratio }
}

/** `key=value,key=value`, percent-encoded (OpenTelemetry specification, Resource SDK). */
function resourceAttributes(text: string | undefined): Readonly<Record<string, string>> {
  const pairs = (text ?? '').split(',').filter((pair) => pair.includes('='))
  try {
    return Object.fromEntries(
      pairs.map((pair) => {
        const at = pair.indexOf('=')
        return [decodeURIComponent(pair.slice(0, at).trim()), decodeURIComponent(pair.slice(at + 1).trim())]
      }),
    )
  } catch {
    throw unusable('OTEL_RESOURCE_ATTRIBUTES', String(text), 'key=value,key=value, percent-encoded')
  }
}

function checkedUrl(from: string, text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) throw unusable(from, text, 'a URL like http://127.0.0.1:4318')
  return text
}

function unusable(name: string, value: string, hint: string): HeraldError {
  return new HeraldError('ERR_USAGE', `${name} cannot be ${JSON.stringify(value.slice(0, 200))}`, {
    hint: `write ${hint}`,
  })
}
