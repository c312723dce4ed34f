import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

/** A SPIFFE ID, or all that begin with one and a slash; made by {@link parseCallerPattern}. */
export type CallerPattern = { readonly exact: SpiffeId } | { readonly prefix: string }

/** `spiffe://example.org/default/teller`, or `spiffe://example.org/team-a/*`; `undefined` for anything else. */
export function parseCallerPattern(text: string): CallerPattern | undefined {
  try {
    if (!text.endsWith('/*')) return { exact: parseSpiffeId(text) }
    return { prefix: `${parseSpiffeId(text.slice(0, -2))}/` }
  } catch {
    return undefined
  }
}

export function matchesCaller(patterns: readonly CallerPattern[], caller: SpiffeId): boolean {
  return patterns.some((pattern) => ('exact' in pattern ? pattern.exact === caller : caller.startsWith(pattern.prefix)))
}
