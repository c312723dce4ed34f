import { isHeraldError } from '../errors/herald-error.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import type { Metrics } from '../observability/metrics.ts'
import { measured, type Tracer } from '../observability/tracer.ts'

/** An authority whose fetches are timed, by the code of the error if there is one, and told as spans. Its owner stays who it was. */
export function measureAuthority(authority: SvidAuthority, metrics: Metrics, tracer?: Tracer): SvidAuthority {
  metrics.addSource(() => [{ name: 'herald.spire.ready', value: authority.status().kind === 'ready' ? 1 : 0 }])
  const { x509Bundle } = authority
  return {
    kind: authority.kind,
    ...(x509Bundle !== undefined && { x509Bundle: x509Bundle.bind(authority) }),
    async fetchJwtSvids(request, options) {
      const startMs = performance.now()
      const record = (attributes?: { 'error.type': string }): void =>
        metrics.record('herald.svid.fetch.duration', (performance.now() - startMs) / 1000, attributes)
      try {
        const fetch = () => authority.fetchJwtSvids(request, options)
        const svids = await measured(tracer, 'herald.svid.fetch', { 'herald.audiences': request.audiences }, fetch)
        record()
        return svids
      } catch (error) {
        record({ 'error.type': isHeraldError(error) ? error.code : 'ERR_INTERNAL' })
        throw error
      }
    },
    watchX509: (request, options) => authority.watchX509(request, options),
    currentJwtBundle: (trustDomain) => authority.currentJwtBundle(trustDomain),
    jwtBundle: (trustDomain, options) => authority.jwtBundle(trustDomain, options),
    status: () => authority.status(),
    diagnose: (options) => authority.diagnose(options),
    [Symbol.asyncDispose]: async () => {},
  }
}
