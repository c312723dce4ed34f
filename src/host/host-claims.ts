import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'

export type Claim = {
  readonly namespace: string
  readonly workloadName: string
  readonly hosts: readonly string[] | 'any'
}

/**
 * Who answers to which HTTP host. Workloads of one namespace may share one (replicas of a deployment, two versions during an update), those
 * of different namespaces never do: else one tenant could take another's requests.
 */
export interface HostClaims {
  /** @throws ERR_WORKLOAD_HTTP_HOST_TAKEN */
  claim(claim: Claim): Disposable
}

export function createHostClaims(log: Log): HostClaims {
  const claims = new Set<Claim>()
  return {
    claim(claim) {
      const names = namesOf(claim)
      for (const other of claims) {
        const shared = namesOf(other).find((name) => names.includes(name))
        if (shared === undefined) continue
        const host = shared === '*' ? 'every host' : shared
        if (other.namespace !== claim.namespace) {
          throw new HeraldError(
            'ERR_WORKLOAD_HTTP_HOST_TAKEN',
            `${host} is answered by a workload of another namespace already`,
            {
              hint: 'give the wasi:http entry another host',
            },
          )
        }
        if (other.workloadName !== claim.workloadName) {
          log.warn(
            { event: 'http.host_shared', host: shared, workloads: [other.workloadName, claim.workloadName] },
            `two workloads answer to ${host}: its requests are shared between them`,
          )
        }
      }
      claims.add(claim)
      return { [Symbol.dispose]: () => void claims.delete(claim) }
    },
  }
}

const namesOf = ({ hosts }: Claim): readonly string[] => (hosts === 'any' ? ['*'] : hosts)
