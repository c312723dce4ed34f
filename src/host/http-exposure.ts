import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { httpHostsOf } from '../manifest/http-hosts.ts'

export type HttpExposure = { readonly component: string; readonly hosts: readonly string[] | 'any' }

/**
 * Which component answers which hosts: the one that exports `wasi:http/incoming-handler`, under the hosts of the workload's `wasi:http`
 * entries that list `incoming-handler`. With several such components an entry's `name` says which. Without an entry nothing
 * is exposed.
 * @param options `listens`: the workload is reached without the ingress, too.
 * @throws ERR_WORKLOAD_HTTP_AMBIGUOUS, ERR_MANIFEST_INVALID
 */
export function exposeHttp(
  handlers: readonly string[],
  hostInterfaces: readonly HostInterface[],
  { listens = false }: { listens?: boolean } = {},
): { readonly exposures: readonly HttpExposure[]; readonly warnings: readonly string[] } {
  const entries = hostInterfaces.filter(
    ({ namespace, package: name, interfaces }) =>
      namespace === 'wasi' && name === 'http' && interfaces.includes('incoming-handler'),
  )
  const warnings: string[] = []
  const exposures = entries.flatMap((entry): HttpExposure[] => {
    const hosts = httpHostsOf(entry)
    if (hosts === undefined) {
      throw new HeraldError(
        'ERR_MANIFEST_INVALID',
        `a wasi:http entry has a host that is no host name: ${entry.config.host}`,
        {
          hint: 'write hosts without scheme, port and path',
        },
      )
    }
    const component = handlers.length === 1 ? handlers[0] : handlers.find((name) => name === entry.name)
    if (component !== undefined) return [{ component, hosts }]
    if (handlers.length === 0) {
      // Without a host in it, an entry is no promise to anybody.
      if (entry.config.host !== undefined)
        warnings.push(`no component exports wasi:http/incoming-handler: nothing answers ${entry.config.host}`)
      return []
    }
    throw new HeraldError(
      'ERR_WORKLOAD_HTTP_AMBIGUOUS',
      `${handlers.join(' and ')} export wasi:http/incoming-handler, and a wasi:http entry does not say which of them it means`,
      { hint: 'give each a wasi:http entry of its own: name is the component, config.host its host' },
    )
  })
  for (const handler of handlers) {
    if (listens || exposures.some(({ component }) => component === handler)) continue
    warnings.push(
      `${handler} exports wasi:http/incoming-handler, but no wasi:http entry in hostInterfaces exposes it: it answers nobody`,
    )
  }
  return { exposures, warnings }
}
