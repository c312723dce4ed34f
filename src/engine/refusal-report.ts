/** One or more refusals of outgoing requests, connections or look-ups, the last one by name. Guest-controlled text, bounded. */
export type EgressRefusal = { readonly target: string; readonly reason: string; readonly count: number }

/** Least time between two reports of one component, ms: a guest can be refused as often as it likes. */
const intervalMs = 1_000

/** Reports the first refusal at once, and those of the next second together. @returns what is told of each */
export function reportRefusals(
  report: (refusal: EgressRefusal) => void,
): (refusal: { target: string; reason: string }) => void {
  let waiting: EgressRefusal | undefined
  let timer: NodeJS.Timeout | undefined
  const next = (): void => {
    timer = undefined
    if (waiting === undefined) return
    report(waiting)
    waiting = undefined
    timer = setTimeout(next, intervalMs).unref()
  }
  return ({ target, reason }) => {
    waiting = {
      target: target.slice(0, 200).toWellFormed(),
      reason: reason.slice(0, 200).toWellFormed(),
      count: (waiting?.count ?? 0) + 1,
    }
    if (timer === undefined) next()
  }
}
