import type { CellIsolation } from '../engine/engine.ts'
import { type CellSettings, parseCellSettings } from '../manifest/cell-settings.ts'
import type { Workload } from '../manifest/workload.ts'

/** What the cells of a workload are: of what the host and the workload ask for, that which separates more. @throws ERR_MANIFEST_INVALID */
export function isolationOf(
  { hostInterfaces }: Workload,
  ofHost: CellIsolation = 'thread',
  { isolation: ofWorkload }: CellSettings = parseCellSettings(hostInterfaces),
): CellIsolation {
  return ofHost === 'process' || ofWorkload === 'process' ? 'process' : 'thread'
}
