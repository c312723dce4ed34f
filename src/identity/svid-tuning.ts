/** How a SvidSource waits, keeps and gives up. Every value has a default. */
export type SvidTuning = {
  /** Longest wait of one caller for a first token, ms. The fetch goes on without it. */
  readonly callerWaitMs: number
  /** The same once a caller has waited in vain: while the authority is away nobody else waits long, ms. */
  readonly overdueWaitMs: number
  /** Longest time of one fetch in the background, ms. A SPIRE agent without its server takes up to 30 s to answer. */
  readonly fetchMs: number
  /** How long a refusal is remembered, ms: bounds how late a new entry is noticed. */
  readonly refusalMs: number
  /** A token is not handed out in its last moments, ms (at most a fifth of its lifetime). */
  readonly expirySkewMs: number
  /** How long a token may wait for the bundle that holds its key, ms. */
  readonly keyWaitMs: number
  /** How long an X.509 update may lack a SPIFFE ID that it has never shown before the authority is asked, ms. */
  readonly doubtMs: number
  /** Most tokens kept; the one not asked for longest goes first. */
  readonly maxSvids: number
}

export const defaultSvidTuning: SvidTuning = {
  callerWaitMs: 5_000,
  overdueWaitMs: 250,
  fetchMs: 40_000,
  refusalMs: 1_000,
  expirySkewMs: 10_000,
  keyWaitMs: 6_000,
  doubtMs: 1_000,
  maxSvids: 20_000,
}
