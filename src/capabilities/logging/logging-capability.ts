import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Log } from '../../observability/log.ts'
import type { Capability, CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { EntrySettings } from '../entry-settings.ts'
import {
  type GuestLogBatch,
  type GuestLogLevel,
  type LoggingCellConfig,
  logLevels,
  maxContextLength,
  maxMessageLength,
} from './logging-line.ts'

export const loggingKeys = ['level', 'rate', 'burst'] as const

const methods: Readonly<Record<GuestLogLevel, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  critical: 'fatal',
}

/** `wasi:logging/logging`: structured records `component.log` in the host's log, at the guest's level, at a bounded rate. */
export function createLoggingCapability({ log }: { readonly log: Log }): Capability {
  return {
    name: 'logging',
    interfaces: ['wasi:logging/logging@0.1.0-draft'],
    waits: [],
    async start() {},
    async configure(component, entries): Promise<CellBinding> {
      const config = parseLoggingConfig(entries.map((entry) => new EntrySettings(entry, loggingKeys)))
      const guestLog = log.child(about(component))
      return {
        cellModule: cellModule(import.meta.url, 'logging-cell'),
        config,
        async handle(method, payload) {
          if (method !== 'lines') throw new TypeError('wasi:logging has no such method')
          const { lines, dropped } = payload as GuestLogBatch
          for (const { level, context, message } of lines.slice(0, config.burst)) {
            const fields = { event: 'component.log', context: context.slice(0, maxContextLength) }
            guestLog[methods[level]](fields, message.slice(0, maxMessageLength))
          }
          if (dropped > 0) {
            guestLog.warn(
              { event: 'component.log_dropped', dropped, rate: config.rate },
              'the component logs faster than its rate allows; some of it was dropped',
            )
          }
        },
        attach() {},
        release() {},
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Of several entries the last that sets a key decides. @throws ERR_CAPABILITY_CONFIG */
function parseLoggingConfig(entries: readonly EntrySettings[]): LoggingCellConfig {
  let config: LoggingCellConfig = { level: 'trace', rate: 200, burst: 400 }
  for (const entry of entries) {
    config = {
      level: entry.oneOf('level', logLevels, config.level),
      rate: entry.integer('rate', { min: 1, max: 10_000, fallback: config.rate }),
      burst: entry.integer('burst', { min: 1, max: 20_000, fallback: config.burst }),
    }
  }
  return config
}

function about({ namespace, workloadName, workloadId, componentName }: ComponentFacts) {
  return { namespace, workload: workloadName, workloadId, component: componentName }
}
