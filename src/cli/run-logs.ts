import { HeraldError } from '../errors/herald-error.ts'
import { findWorkload, parseWorkloadName } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import { nameOf } from './lattice-client.ts'
import { withLattice } from './lattice-command.ts'
import type { LogsOptions } from './logs-command.ts'
import { printResult, styleFor } from './output.ts'
import { clean } from './table.ts'

export async function runLogs(
  name: string | undefined,
  options: LogsOptions,
  environment: CliEnvironment,
): Promise<void> {
  if (options.follow !== true) {
    throw new HeraldError('ERR_USAGE', 'hosts keep no lines, so there is nothing to print of the past', {
      hint: 'follow what comes: herald logs -f',
    })
  }
  const { stdout, stderr, noColor } = environment
  const style = styleFor(stdout, noColor)
  await withLattice(options, environment, async (client) => {
    const fleet = await client.fleet({ quietMs: 500 })
    const replicas = name === undefined ? undefined : findWorkload(fleet, parseWorkloadName(name))
    const hosts = replicas === undefined ? fleet.hosts : [...new Set(replicas.map(({ host }) => host))]
    const ids = replicas === undefined ? 'all' : new Set(replicas.map(({ workloadId }) => workloadId))
    if (options.output === 'text')
      stderr.write(`following ${hosts.map(nameOf).join(', ') || 'no host'}; Ctrl-C ends it\n`)
    const nameOfHost = new Map(hosts.map((host) => [host.id as string, nameOf(host)]))
    await client.followLogs(hosts, ids, ({ hostId, workload, component, stream, text, at, workloadId }) => {
      const host = nameOfHost.get(hostId) ?? hostId
      printResult(environment, options.output, {
        value: { at: at?.toISOString(), host, workload, workloadId, component, stream, text },
        text: () => {
          const time = options.timestamps ? `${at?.toISOString() ?? ''} ` : ''
          const from = `${host} ${workload}${component === '' ? '' : `/${component}`}`
          return `${time}${style.tone(from, stream === 'stderr' ? 'busy' : 'quiet')} ${clean(text)}\n`
        },
      })
    })
  })
}
