/**
 * What to do about a workload nobody asks about any more. There is no list request in the protocol, and a stop that gets lost is not
 * repeated; so silence is the only sign. It counts only while an operator is there: one that asks this host for heartbeats.
 */
export type OrphanRule =
  | { readonly kind: 'keep' }
  | {
      readonly kind: 'stop'
      /** Silence about one workload, while the operator goes on asking for heartbeats, ms. The operator asks for each status every 30 s. */
      readonly afterMs: number
    }

/** The operator asks for a heartbeat every 60 s; after two and a half of these it is gone. */
const operatorGoneMs = 150_000

/** Whether, and since when without a break, an operator has been there. */
export class OperatorPresence {
  #sinceMs: number | undefined
  #lastMs = Number.NEGATIVE_INFINITY

  /** It asked for a heartbeat. */
  seen(nowMs: number): void {
    if (nowMs - this.#lastMs > operatorGoneMs) this.#sinceMs = nowMs
    this.#lastMs = nowMs
  }

  /** The connection was lost: what was asked meanwhile cannot be known. */
  forget(): void {
    this.#sinceMs = undefined
    this.#lastMs = Number.NEGATIVE_INFINITY
  }

  sinceMs(nowMs: number): number | undefined {
    return nowMs - this.#lastMs > operatorGoneMs ? undefined : this.#sinceMs
  }
}

export function findOrphans(
  rule: OrphanRule,
  lastAsked: ReadonlyMap<string, number>,
  presence: OperatorPresence,
  nowMs: number,
): string[] {
  const sinceMs = presence.sinceMs(nowMs)
  if (rule.kind === 'keep' || sinceMs === undefined) return []
  return [...lastAsked]
    .filter(([, askedMs]) => nowMs - Math.max(askedMs, sinceMs) > rule.afterMs)
    .map(([workloadId]) => workloadId)
}
