import type { ComponentStatus, WorkloadStatus } from '../host/workload-state.ts'
import type { DevelopmentAuthority } from '../identity/development/development-authority.ts'
import { selectorsOf } from '../identity/selectors.ts'
import type { DevTarget } from './dev-target.ts'

export type DevFacts = {
  readonly target: DevTarget
  /** Where HTTP is served. */
  readonly url: string
  readonly authority: DevelopmentAuthority
  readonly statuses: readonly WorkloadStatus[]
  /** Of a reload: from the change to serving again, ms. */
  readonly tookMs: number | undefined
}

/** What `herald dev` says once everything serves: for a person, or one line of JSON. */
export function describeDev({ target, url, authority, statuses, tookMs }: DevFacts, output: 'text' | 'json'): string {
  const components = statuses.flatMap(({ namespace, name, components: all }) =>
    all.map((component) => ({
      workload: `${namespace}/${name}`,
      component: component.name,
      spiffeId: authority.spiffeIdFor(selectorsOf(component.facts)),
      audiences: component.audiences,
      urls: urlsOf(component, url),
      serves: component.serves.map(({ kind }) => kind),
      imageDigest: component.imageDigest,
    })),
  )
  if (output === 'json') {
    const issuer = { issuer: authority.issuer, jwksUri: authority.jwksUri, trustDomain: authority.trustDomain }
    const event = tookMs === undefined ? { event: 'ready' } : { event: 'reloaded', tookMs: Math.round(tookMs) }
    return `${JSON.stringify({ ...event, target: target.file, http: url, ...issuer, components })}\n`
  }
  if (tookMs !== undefined) {
    return `Serving ${components.map(({ component }) => component).join(', ')} anew, ${Math.round(tookMs)} ms after the change.\n`
  }
  const width = Math.max(...components.map(({ component }) => component.length), 'issuer'.length)
  const row = (name: string, text: string): string => `  ${name.padEnd(width)}  ${text}`
  const lines = components.flatMap(({ component, spiffeId, audiences, urls, serves }) => [
    row(component, urls.length > 0 ? urls.join('  ') : (howItRuns[serves[0] ?? 'http'] ?? '')),
    row('', spiffeId),
    row(
      '',
      audiences.length === 0
        ? 'does not import wasmcloud:identity: it gets no tokens'
        : `tokens for ${audiences.join(', ')}`,
    ),
  ])
  return `${[
    `Serving ${target.file}, with identities for development only:`,
    ...lines,
    row('issuer', `${authority.issuer}  (OIDC discovery: ${authority.issuer}/.well-known/openid-configuration)`),
    ...(target.kind === 'component' ? [howItIsPooled(target)] : []),
    'A change of its files is served at once; Ctrl-C ends it.',
  ].join('\n')}\n`
}

function howItIsPooled({ workloads }: DevTarget): string {
  const poolSize = workloads[0]?.components[0]?.poolSize ?? 0
  return poolSize === 0
    ? 'Every call gets a fresh instance, as without poolSize in a manifest; --pool-size keeps some between calls.'
    : `Up to ${poolSize} instances are kept between calls.`
}

const howItRuns: Readonly<Record<string, string>> = {
  http: 'not exposed over HTTP',
  run: 'runs to completion',
  service: 'runs as a service',
}

function urlsOf({ serves }: ComponentStatus, url: string): string[] {
  return serves.flatMap((service) => {
    if (service.kind === 'listen') return [service.url]
    if (service.kind !== 'http') return []
    return service.hosts === 'any' ? [url] : service.hosts.map((host) => `${url} (Host: ${host})`)
  })
}
