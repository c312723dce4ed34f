import type { Log } from '../observability/log.ts'
import { readTelemetryVariables } from './environment.ts'
import type { HostOperations } from './host-operations.ts'
import type { OutputTap } from './inventoried-host.ts'
import type { ListenAddress } from './option-values.ts'
import { otlpSettings } from './otlp-settings.ts'
import { heraldVersion } from './version-command.ts'

export type TelemetryOptions = { readonly otlpEndpoint?: string }

/** For commander's `option`. */
export const otlpEndpointOption = [
  '--otlp-endpoint <url>',
  'an OpenTelemetry collector, such as http://127.0.0.1:4318, that gets traces, metrics and the log by OTLP over HTTP (default: $OTEL_EXPORTER_OTLP_ENDPOINT, with the other OTEL_ variables; none)',
] as const

/**
 * Probes, metrics and what is sent to a collector, of a command that runs a host; `undefined` when nobody asked for any of it: its modules
 * are not loaded then.
 * @throws ERR_USAGE for a variable that cannot be used, ERR_HEALTH_LISTEN
 */
export async function openOperations(
  options: TelemetryOptions & { readonly health?: ListenAddress; readonly drainTimeout: number },
  host: {
    readonly hostId?: string | undefined
    /** Whether it is ready only once NATS was connected. */
    readonly lattice: boolean
    readonly output: OutputTap
    readonly log: Log
    readonly signal: AbortSignal
  },
): Promise<HostOperations | undefined> {
  const otlp = otlpSettings(options.otlpEndpoint, readTelemetryVariables())
  if (options.health === undefined && otlp === undefined) return undefined
  const { openHostOperations } = await import('./host-operations.ts')
  const { hostId, lattice, output, log, signal } = host
  return openHostOperations({
    ...{ address: options.health, otlp, onLogLine: output.onLine, version: heraldVersion() },
    ...{ hostId, lattice, log, signal, drainTimeoutMs: options.drainTimeout },
  })
}
