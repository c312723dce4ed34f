import { isHeraldError } from '../errors/herald-error.ts'
import type { Lattice, LatticeMessage } from '../lattice/lattice.ts'
import { calloutAuditSubject, heraldCallouts, type SubjectToken } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import type { AuditFeed } from './herald-audit-feed.ts'
import { heraldCallout } from './herald-messages.ts'
import { formatMessage } from './proto-json.ts'
import { rememberedAudit } from './remembered-audit.ts'

/** A callout service says that it is there, and what it remembers, until disposed. */
export function answerCalloutAudit({
  lattice,
  id,
  name,
  audit,
  log,
}: {
  /** In the account of whoever reads audits. Stays its owner's. */
  readonly lattice: Lattice
  readonly id: SubjectToken
  readonly name: string
  readonly audit: AuditFeed
  readonly log: Log
}): AsyncDisposable {
  const answering = (answer: (payload: Uint8Array) => Uint8Array) => (message: LatticeMessage) => {
    try {
      message.reply(answer(message.payload))
    } catch (error) {
      if (!isHeraldError(error)) throw error
      log.warn({ event: 'callout.request-refused', code: error.code }, error.message)
    }
  }
  const there = formatMessage(heraldCallout, { id, name })
  const stack = new AsyncDisposableStack()
  stack.use(lattice.subscribe(heraldCallouts, { handle: answering(() => there) }))
  const remembered = answering((payload) => rememberedAudit(audit, payload))
  stack.use(lattice.subscribe(calloutAuditSubject(id), { handle: remembered }))
  return stack
}
