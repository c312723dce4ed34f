import type { AuditFeed } from './herald-audit-feed.ts'
import { auditAnswer, auditRequest } from './herald-messages.ts'
import { formatMessage, parseMessage } from './proto-json.ts'

/** Below what a NATS message may be, bytes. */
const maxAnswerBytes = 900_000

/** Answer to what is remembered: the last events that fit into a message. @throws ERR_CONTROL_MESSAGE_INVALID */
export function rememberedAudit(audit: Pick<AuditFeed, 'recent'>, payload: Uint8Array): Uint8Array {
  const { since } = parseMessage(auditRequest, payload)
  const all = audit.recent(since)
  let bytes = 0
  let first = all.length
  for (; first > 0; first--) {
    const event = all[first - 1]
    if (event !== undefined) bytes += formatMessage(auditAnswer, { events: [event], truncated: false }).length
    if (bytes > maxAnswerBytes) break
  }
  const forgotten = audit.recent(undefined)[0]?.sequence ?? 1
  const truncated = first > 0 || (forgotten > 1 && all[0]?.sequence === forgotten)
  return formatMessage(auditAnswer, { events: all.slice(first), truncated })
}
