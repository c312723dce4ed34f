import { fileURLToPath } from 'node:url'
import type { CellComponentInit } from '../cell-protocol.ts'
import type { ProcessGrants } from './process-protocol.ts'

/** The host's own modules, which every process may read. */
export const sourceDirectory = fileURLToPath(new URL('../../', import.meta.url))
/** Where a cell's files are seen by way of their descriptors (see `resolve-path.ts` of WASI's filesystem). */
const descriptors = '/proc/self/fd/*'

/**
 * What the process of these components needs: the network when any of them was allowed to reach something or listens itself, and their volumes.
 * @param listens a component listens in the cell
 */
export function grantsOf(components: readonly CellComponentInit[], listens: boolean): ProcessGrants {
  const network = components.some(
    ({ allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts }) =>
      allowedHosts.length + allowedIpNameLookups.length + allowedHostLoopbackPorts.length > 0,
  )
  const cellModules = components
    .flatMap(({ bindings }) => bindings.map(({ cellModule }) => fileURLToPath(cellModule)))
    .filter((path) => !path.startsWith(sourceDirectory))
  const preopens = components.flatMap(({ preopens }) => preopens)
  const writable = preopens.filter(({ readOnly }) => !readOnly)
  const pathsOf = (volumes: typeof preopens) => [
    ...new Set(volumes.map(({ hostPath }) => hostPath)),
    ...(volumes.length > 0 ? [descriptors] : []),
  ]
  return {
    network: network || listens,
    readable: [...new Set(cellModules), ...pathsOf(preopens)],
    writable: pathsOf(writable),
  }
}

/** Node's options for a process with these grants. */
export function permissionFlags({ network, readable, writable }: ProcessGrants): string[] {
  return [
    '--permission',
    // Its main thread only carries messages; the guest's thread gives this up before it has a guest.
    '--allow-worker',
    ...(network ? ['--allow-net'] : []),
    ...[sourceDirectory, ...readable].map((path) => `--allow-fs-read=${path}`),
    ...writable.map((path) => `--allow-fs-write=${path}`),
  ]
}
