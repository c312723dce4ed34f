import { type AuditEvent, auditEvent, checkAuditEvent } from '../control/herald-audit-event.ts'
import {
  activityAnswer,
  activityRequest,
  auditAnswer,
  auditRequest,
  type WorkloadActivity,
} from '../control/herald-messages.ts'
import { formatMessage, parseMessage } from '../control/proto-json.ts'
import type { Lattice, LatticeMessage } from '../lattice/lattice.ts'
import { allAudits, heraldRequestSubject, hostOfAudit, type SubjectToken } from '../lattice/subjects.ts'

type Asked = { readonly timeoutMs: number; readonly signal: AbortSignal }

/** What one host remembers. @throws ERR_LATTICE_…, ERR_CONTROL_MESSAGE_INVALID */
export async function askAudit(
  lattice: Lattice,
  hostId: SubjectToken,
  since: Date | undefined,
  asked: Asked,
): Promise<{ readonly events: readonly AuditEvent[]; readonly truncated: boolean }> {
  const subject = heraldRequestSubject(hostId, 'audit')
  const answer = parseMessage(
    auditAnswer,
    await lattice.request(subject, formatMessage(auditRequest, { since }), asked),
  )
  for (const event of answer.events) checkAuditEvent(event, hostId)
  return answer
}

/** What the workloads of one host have done. @throws ERR_LATTICE_…, ERR_CONTROL_MESSAGE_INVALID */
export async function askActivity(
  lattice: Lattice,
  hostId: SubjectToken,
  asked: Asked,
): Promise<readonly WorkloadActivity[]> {
  const subject = heraldRequestSubject(hostId, 'activity')
  return parseMessage(activityAnswer, await lattice.request(subject, formatMessage(activityRequest, {}), asked))
    .workloads
}

/** Follows what all hosts publish, until disposed. @param onInvalid told of what is no audit event */
export function followAudit(
  lattice: Lattice,
  onEvent: (event: AuditEvent) => void,
  onInvalid: (error: unknown) => void,
): AsyncDisposable {
  return lattice.subscribe(allAudits, {
    handle({ subject, payload }: LatticeMessage) {
      let event: AuditEvent
      try {
        event = checkAuditEvent(parseMessage(auditEvent, payload), hostOfAudit(subject))
      } catch (error) {
        onInvalid(error)
        return
      }
      onEvent(event)
    },
  })
}
