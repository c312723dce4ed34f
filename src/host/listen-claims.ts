import { createServer } from 'node:net'
import { HeraldError } from '../errors/herald-error.ts'
import { coversListen, isWildcard, type ListenRange, listenRangeText } from '../manifest/listen-range.ts'

export type ListenClaim = {
  readonly namespace: string
  readonly workloadName: string
  readonly address: { readonly host: string; readonly port: number }
}

/** Which workload listens where by itself. One workload per address; replicas and versions of the same share it. */
export interface ListenClaims {
  /**
   * @throws ERR_WORKLOAD_LISTEN_DENIED, ERR_WORKLOAD_LISTEN_TAKEN; ERR_INGRESS_LISTEN when another process has the address: cells share
   * theirs with whoever else asks the system to, so this must be found out before.
   */
  claim(claim: ListenClaim): Promise<Disposable>
}

/** @param allowed where workloads may listen; nowhere else. */
export function createListenClaims(allowed: readonly ListenRange[]): ListenClaims {
  const claims = new Set<ListenClaim>()
  return {
    async claim(claim) {
      const { host, port } = claim.address
      const asked = { host, firstPort: port, lastPort: port }
      const shown = listenRangeText(asked)
      if (!allowed.some((range) => coversListen(range, asked))) {
        throw new HeraldError('ERR_WORKLOAD_LISTEN_DENIED', `${claim.workloadName} asks to listen on ${shown} itself`, {
          hint: `${allowed.length === 0 ? 'this host allows no address' : `this host allows ${allowed.map(listenRangeText).join(', ')}`}: start it with --allow-listen ${shown}, or take listen out of the herald:cell entry`,
        })
      }
      const overlapping = [...claims].filter(
        ({ address }) =>
          address.port === port && (address.host === host || isWildcard(address.host) || isWildcard(host)),
      )
      for (const { namespace, workloadName } of overlapping) {
        if (namespace === claim.namespace && workloadName === claim.workloadName) continue
        const other = namespace === claim.namespace ? workloadName : 'a workload of another namespace'
        throw new HeraldError('ERR_WORKLOAD_LISTEN_TAKEN', `${other} listens on ${shown} already`, {
          hint: `give ${claim.workloadName} another port, or let the ingress tell them apart by host`,
        })
      }
      claims.add(claim)
      try {
        if (overlapping.length === 0) await mustBeFree(claim.address)
      } catch (error) {
        claims.delete(claim)
        throw error
      }
      return { [Symbol.dispose]: () => void claims.delete(claim) }
    },
  }
}

async function mustBeFree({ host, port }: ListenClaim['address']): Promise<void> {
  const server = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ host, port, exclusive: true }, resolve)
  try {
    await promise
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new HeraldError(
      'ERR_INGRESS_LISTEN',
      `a workload asks to listen on ${listenRangeText({ host, firstPort: port, lastPort: port })}, and it cannot: ${code}`,
      { hint: 'choose another address or port, or end the process that has it', cause },
    )
  }
  await new Promise((closed) => server.close(closed))
}
