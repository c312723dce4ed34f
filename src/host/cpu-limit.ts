import type { CellSettings } from '../manifest/cell-settings.ts'
import type { Workload } from '../manifest/workload.ts'

/** The least that a cell can be given, thousandths: with less it would not come round to anything. */
const leastMillicores = 10

/**
 * What the cell of a workload may use of a processor, thousandths: the least of what the host gives, what the workload's entry says, and what its
 * components say together, if all of them say anything. `undefined`: no limit.
 */
export function cpuLimitOf(
  { components, service }: Pick<Workload, 'components' | 'service'>,
  { cpuLimitMillicores }: CellSettings,
  hostMillicores: number | undefined,
): number | undefined {
  const units = service === undefined ? components : [...components, service]
  const together = units.reduce((sum, { resources }) => sum + (resources.cpuLimitMillicores ?? Number.NaN), 0)
  const limits = [hostMillicores, cpuLimitMillicores, together].filter((each) => each !== undefined && each > 0)
  return limits.length === 0 ? undefined : Math.min(1_000, Math.max(leastMillicores, Math.min(...(limits as number[]))))
}
