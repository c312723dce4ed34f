import { HeraldError } from '../errors/herald-error.ts'
import type { Workload } from '../manifest/workload.ts'

/** Most cells of one workload on one host: each is a thread of about 20 MB. */
const maxReplicas = 64

/**
 * Whether this is a host that the workload asks for, by upstream's rule: `hostId`, `environment` and all labels of `hostSelector`
 * must be the host's own.
 * @throws ERR_WORKLOAD_NOT_PLACED_HERE, ERR_MANIFEST_UNSUPPORTED
 */
export function checkPlacement(
  { name, hostId, environment, hostSelector, replicas }: Workload,
  host: {
    readonly id: string
    readonly environment: string | undefined
    readonly labels: Readonly<Record<string, string>>
  },
): void {
  const refuse = (what: string, hint: string) =>
    new HeraldError('ERR_WORKLOAD_NOT_PLACED_HERE', `workload ${name} asks for ${what}`, { hint })
  if (hostId !== undefined && hostId !== host.id)
    throw refuse(`the host ${hostId}, this is ${host.id}`, 'remove hostId')
  if (environment !== undefined && environment !== host.environment) {
    const own = host.environment === undefined ? 'none' : JSON.stringify(host.environment)
    throw refuse(
      `the environment ${JSON.stringify(environment)}, this host's is ${own}`,
      `start the host with --environment ${environment}`,
    )
  }
  for (const [key, value] of Object.entries(hostSelector)) {
    if (host.labels[key] === value) continue
    throw refuse(
      `a host with the label ${key}=${value}`,
      `start the host with --label ${key}=${value}, or correct hostSelector`,
    )
  }
  if (replicas > maxReplicas) {
    throw new HeraldError('ERR_MANIFEST_UNSUPPORTED', `workload ${name} asks for ${replicas} replicas on one host`, {
      hint: `use at most ${maxReplicas}, or more hosts`,
    })
  }
}
