import { type AuditEvent, auditEvent, checkAuditEvent } from '../control/herald-audit-event.ts'
import {
  activityAnswer,
  activityRequest,
  auditAnswer,
  auditRequest,
  heraldCallout,
  type WorkloadActivity,
} from '../control/herald-messages.ts'
import { formatMessage, parseMessage } from '../control/proto-json.ts'
import type { Lattice, LatticeMessage } from '../lattice/lattice.ts'
import {
  allAudits,
  calloutAuditSubject,
  heraldCallouts,
  heraldRequestSubject,
  hostOfAudit,
  parseSubjectToken,
  type SubjectToken,
} from '../lattice/subjects.ts'

/** Whoever remembers audit events: a host, or a callout service. */
export type AuditSource = { readonly id: SubjectToken; readonly name: string; readonly kind: 'host' | 'callout' }

/** Whoever can answer on the lattice can call itself one. */
const maxCallouts = 100

type Asked = { readonly timeoutMs: number; readonly signal: AbortSignal }

/** What one of them remembers. @throws ERR_LATTICE_…, ERR_CONTROL_MESSAGE_INVALID */
export async function askAudit(
  lattice: Lattice,
  { id, kind }: Pick<AuditSource, 'id' | 'kind'>,
  since: Date | undefined,
  asked: Asked,
): Promise<{ readonly events: readonly AuditEvent[]; readonly truncated: boolean }> {
  const subject = kind === 'host' ? heraldRequestSubject(id, 'audit') : calloutAuditSubject(id)
  const answer = parseMessage(
    auditAnswer,
    await lattice.request(subject, formatMessage(auditRequest, { since }), asked),
  )
  for (const event of answer.events) checkAuditEvent(event, id)
  return answer
}

/** The callout services of a lattice that tell whom they let in; none where this user may not ask. */
export async function askCallouts(lattice: Lattice, signal: AbortSignal): Promise<readonly AuditSource[]> {
  const asked = { quietMs: 300, timeoutMs: 2_000, signal }
  const answers = await lattice.requestMany(heraldCallouts, Buffer.from('{}'), asked).catch(() => {
    signal.throwIfAborted()
    return []
  })
  // Whoever else answers, or of another version, is left out.
  return answers.slice(0, maxCallouts).flatMap((payload) => {
    try {
      const { id, name } = parseMessage(heraldCallout, payload)
      return [{ id: parseSubjectToken(id, 'the id of a callout service'), name: name.slice(0, 253), kind: 'callout' }]
    } catch {
      return []
    }
  })
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
