/** Why a host is not ready, by condition; ready when nothing is left. */
export interface Readiness {
  /** Adds a condition that is not met. @returns what meets it, for good */
  require(name: string, reason: string): () => void
  /** Not ready any more, whatever is met: it is about to end. */
  end(reason: string): void
  /** Empty: ready. */
  reasons(): readonly string[]
}

export function createReadiness(): Readiness {
  const missing = new Map<string, string>()
  let ended: string | undefined
  return {
    require(name, reason) {
      missing.set(name, reason)
      return () => void missing.delete(name)
    },
    end: (reason) => {
      ended ??= reason
    },
    reasons: () => (ended === undefined ? [...missing].map(([name, reason]) => `${name}: ${reason}`) : [ended]),
  }
}
