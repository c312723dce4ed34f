import { HeraldError } from '../errors/herald-error.ts'
import { parseSpiffeId, pathOf, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** A SPIFFE ID in which whole segments of the path may be `{name}`: each stands for exactly one segment. */
export type SpiffeIdPattern = {
  readonly text: string
  /** The same for patterns that differ in the names only. */
  readonly shape: string
  readonly names: ReadonlySet<string>
  /**
   * What the names stand for; `undefined` when it does not fit. Only what can be one token of a NATS subject is taken, so that no SPIFFE
   * ID reaches subjects beside its own.
   */
  match(trustDomain: TrustDomain, path: string): ReadonlyMap<string, string> | undefined
}

/** @throws ERR_CALLOUT_POLICY_INVALID · ERR_SPIFFE_ID_INVALID */
export function parseSpiffeIdPattern(text: string): SpiffeIdPattern {
  const names = new Set<string>()
  const plain = text.replace(/(?<!\/)\/\{([^{}/]*)\}(?=\/|$)/g, (_, name: string) => {
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(name) || names.has(name)) {
      throw new HeraldError('ERR_CALLOUT_POLICY_INVALID', `{${name.slice(0, 40)}} is no name, or is there twice`)
    }
    names.add(name)
    return '/x'
  })
  const parsed = parseSpiffeId(plain)
  const trustDomain = trustDomainOf(parsed)
  if (pathOf(parsed) === '') {
    throw new HeraldError('ERR_CALLOUT_POLICY_INVALID', `${text.slice(0, 300)} is a whole trust domain, not a workload`)
  }
  const segments = text.slice(`spiffe://${trustDomain}/`.length).split('/')
  return {
    text,
    shape: `${trustDomain}/${segments.map((segment) => (segment.startsWith('{') ? '{}' : segment)).join('/')}`,
    names,
    match(otherDomain, path) {
      const others = path.slice(1).split('/')
      if (otherDomain !== trustDomain || others.length !== segments.length) return undefined
      const captured = new Map<string, string>()
      for (const [index, segment] of segments.entries()) {
        const other = others[index]!
        if (!segment.startsWith('{')) {
          if (segment !== other) return undefined
        } else if (/^[A-Za-z0-9_-]{1,128}$/.test(other)) captured.set(segment.slice(1, -1), other)
        else return undefined
      }
      return captured
    },
  }
}
