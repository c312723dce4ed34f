import { type CalloutPolicy, permissionOf } from '../callout/callout-policy.ts'
import { answerCalloutAudit } from '../control/answer-callout-audit.ts'
import type { AuditFeed } from '../control/herald-audit-feed.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import type { Lattice } from '../lattice/lattice.ts'
import type { SubjectToken } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** The callout service as a client of the NATS it answers for: tells there whom it let in, if its policy grants that. */
export interface CalloutAuditConnection extends AsyncDisposable {
  /** Connects by this policy's grant, unless it is connected. */
  follow(policy: CalloutPolicy, self: SpiffeId): void
}

export function calloutAuditConnection({
  connect,
  feed,
  id,
  name,
  log,
}: {
  /** With the own SVID for the audience. */
  readonly connect: (audience: string) => Lattice
  readonly feed: AuditFeed
  readonly id: SubjectToken
  readonly name: string
  readonly log: Log
}): CalloutAuditConnection {
  const stack = new AsyncDisposableStack()
  let opened = false
  return {
    follow(policy, self) {
      if (opened) return
      try {
        permissionOf(policy, self)
      } catch (error) {
        if (!isHeraldError(error, 'ERR_CALLOUT_DENIED')) throw error
        const hint = `grant ${self} \`as: callout\` in the account of the lattice to have it on NATS too`
        log.info({ event: 'callout.audit-local' }, `whom this service lets in is told in its log only; ${hint}`)
        return
      }
      opened = true
      const lattice = stack.use(connect(policy.audience))
      stack.use(answerCalloutAudit({ lattice, id, name, audit: feed, log }))
      stack.use(feed.publishOn(lattice))
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
