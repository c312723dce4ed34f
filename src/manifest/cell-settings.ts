import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from './host-interface.ts'
import { parseListenRange } from './listen-range.ts'

/** How the cell of a workload is to be kept, from its `herald:cell/settings` entry; what is absent is the host's to say. */
export type CellSettings = {
  /** Without a call for so long it gives its thread back, ms; infinite: never. */
  readonly idleTimeoutMs?: number
  /** Cap on each linear memory of its components, MiB. */
  readonly memoryLimitMb?: number
  /** What its thread may use of a processor, thousandths, from 10 to 1,000. */
  readonly cpuLimitMillicores?: number
  /** What separates its cells from the host and from other workloads; the host may ask for more. */
  readonly isolation?: 'thread' | 'process'
  /** Its component that serves HTTP listens there itself, if the host allows it; `0.0.0.0`: on all addresses. */
  readonly listen?: { readonly host: string; readonly port: number }
}

type Setting = { readonly hint: string; readonly read: (text: string) => CellSettings | undefined }

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const settings: Readonly<Record<string, Setting>> = {
  'memory-limit': {
    hint: 'a number of MiB from 1Mi to 4096Mi',
    read(text) {
      const memoryLimitMb = Number(/^([1-9]\d{0,3})Mi$/.exec(text)?.[1])
      return memoryLimitMb <= 4096 ? { memoryLimitMb } : undefined
    },
  },
  'cpu-limit': {
    hint: 'thousandths of a processor, from 10m to 1000m',
    read(text) {
      const cpuLimitMillicores = Number(/^([1-9]\d{1,3})m$/.exec(text)?.[1])
      return cpuLimitMillicores <= 1_000 ? { cpuLimitMillicores } : undefined
    },
  },
  isolation: {
    hint: 'thread or process',
    read: (text) => (text === 'thread' || text === 'process' ? { isolation: text } : undefined),
  },
  listen: {
    hint: 'a port from 1 to 65535 (on 127.0.0.1), ADDRESS:PORT, or :PORT for all addresses',
    read(text) {
      const { host, firstPort, lastPort } = parseListenRange(text) ?? {}
      return host !== undefined && firstPort !== undefined && firstPort === lastPort
        ? { listen: { host, port: firstPort } }
        : undefined
    },
  },
  'idle-timeout': {
    hint: 'a number and its unit (500ms, 20s, 5m, 1h), at most 24h, or never',
    read(text) {
      if (text === 'never') return { idleTimeoutMs: Number.POSITIVE_INFINITY }
      const { number, unit = '' } = /^(?<number>\d+(\.\d+)?)(?<unit>ms|s|m|h)$/.exec(text)?.groups ?? {}
      const idleTimeoutMs = Math.round(Number(number) * (unitsMs[unit] ?? Number.NaN))
      return idleTimeoutMs <= 86_400_000 ? { idleTimeoutMs } : undefined
    },
  },
}

export const cellSettingKeys: readonly string[] = Object.keys(settings)

export type CellSettingProblem = { readonly key: string; readonly message: string; readonly hint: string }

/** What is wrong with the config of a `herald:cell` entry; whatever the schema refuses is passed over. */
export function cellSettingProblems(config: Readonly<Record<string, unknown>>): CellSettingProblem[] {
  return Object.entries(config).flatMap(([key, text]) => {
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined
    if (setting === undefined) {
      return [
        {
          key,
          message: `herald:cell has no setting ${JSON.stringify(key)}`,
          hint: `use ${cellSettingKeys.join(', ')}`,
        },
      ]
    }
    if (typeof text !== 'string' || setting.read(text) !== undefined) return []
    return [{ key, message: `${JSON.stringify(text)} is no ${key}`, hint: `write ${setting.hint}` }]
  })
}

/** @throws ERR_MANIFEST_INVALID */
export function parseCellSettings(hostInterfaces: readonly HostInterface[]): CellSettings {
  const entries = hostInterfaces.filter((entry) => entry.namespace === 'herald' && entry.package === 'cell')
  if (entries.length > 1) {
    throw new HeraldError('ERR_MANIFEST_INVALID', 'herald:cell is listed more than once', {
      hint: 'a workload has one cell: put all settings into one entry',
    })
  }
  const config = entries[0]?.config ?? {}
  const [problem] = cellSettingProblems(config)
  if (problem !== undefined) {
    throw new HeraldError('ERR_MANIFEST_INVALID', `${problem.key}: ${problem.message}`, { hint: problem.hint })
  }
  return Object.assign({}, ...Object.entries(config).map(([key, text]) => settings[key]?.read(text)))
}
