import { createHash } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'

/** One part of a subject that came from outside: no dot, no wildcard, no space. Made only by {@link parseSubjectToken}. */
export type SubjectToken = string & { readonly __brand: 'SubjectToken' }

/** A subject to publish or request on; made by this file only. */
export type Subject = string & { readonly __brand: 'Subject' }

/** A subject, perhaps with wildcards, to subscribe to. */
export type SubjectPattern = string & { readonly __brand: 'SubjectPattern' }

/** What an operator asks of a host, by the end of its subject. */
export const hostCommands = ['heartbeat', 'workload.start', 'workload.status', 'workload.stop'] as const
export type HostCommand = (typeof hostCommands)[number]

/** @throws ERR_LATTICE_SUBJECT_INVALID. NATS allows more; these are the characters that every tool shows and types alike. */
export function parseSubjectToken(text: string, what: string): SubjectToken {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(text)) {
    throw new HeraldError(
      'ERR_LATTICE_SUBJECT_INVALID',
      `${what} ${JSON.stringify(text.slice(0, 130))} cannot be part of a NATS subject`,
      { hint: 'use letters, digits, - and _, at most 128' },
    )
  }
  return text as SubjectToken
}

/** Where a host announces itself. */
export function heartbeatSubject(hostId: SubjectToken): Subject {
  return `runtime.operator.heartbeat.${hostId}` as Subject
}

/** Every host's announcements. */
export const allHeartbeats = 'runtime.operator.heartbeat.*' as SubjectPattern

/** The host an announcement is about; `undefined` for any other subject. */
export function hostOfHeartbeat(subject: string): SubjectToken | undefined {
  return /^runtime\.operator\.heartbeat\.([A-Za-z0-9_-]{1,128})$/.exec(subject)?.[1] as SubjectToken | undefined
}

export function hostCommandSubject(hostId: SubjectToken, command: HostCommand): Subject {
  return `runtime.host.${hostId}.${command}` as Subject
}

/** Everything that is asked of one host. */
export function hostCommandPattern(hostId: SubjectToken): SubjectPattern {
  return `runtime.host.${hostId}.>` as SubjectPattern
}

/** What is asked of `hostId`; `undefined` for a command that does not exist, or another host's subject. */
export function parseHostCommand(hostId: SubjectToken, subject: string): HostCommand | undefined {
  const prefix = `runtime.host.${hostId}.`
  const command = subject.startsWith(prefix) ? subject.slice(prefix.length) : ''
  return hostCommands.find((each) => each === command)
}

// Herald's own, beside upstream's protocol and never instead of it: docs/decisions/asking-hosts.md.

/** Who is there: every Herald host answers. */
export const heraldHosts = 'herald.hosts' as Subject

/** What Herald's command asks of one Herald host, by the end of its subject. */
export const heraldRequests = ['workloads', 'workload.copy', 'logs', 'drain', 'audit', 'activity', 'call'] as const
export type HeraldRequest = (typeof heraldRequests)[number]

export function heraldRequestSubject(hostId: SubjectToken, request: HeraldRequest): Subject {
  return `herald.host.${hostId}.${request}` as Subject
}

/** All of Herald's own that is asked of one host. */
export function heraldRequestPattern(hostId: SubjectToken): SubjectPattern {
  return `herald.host.${hostId}.>` as SubjectPattern
}

/** What is asked of `hostId`; `undefined` for anything else. */
export function parseHeraldRequest(hostId: SubjectToken, subject: string): HeraldRequest | undefined {
  const prefix = `herald.host.${hostId}.`
  const request = subject.startsWith(prefix) ? subject.slice(prefix.length) : ''
  return heraldRequests.find((each) => each === request)
}

/** Which callout services there are: every one answers. */
export const heraldCallouts = 'herald.callouts' as Subject

/** What a callout service remembers of whom it let in. */
export function calloutAuditSubject(calloutId: SubjectToken): Subject {
  return `herald.callout.${calloutId}.audit` as Subject
}

/** Where the lines for one reader of logs go; the token is the reader's, and nobody can guess it. */
export function heraldLogSubject(reader: SubjectToken): Subject {
  return `herald.logs.${reader}` as Subject
}

/** Where a host tells what happened with identities: one subject for each host and event, so that either can be permitted, filtered or kept. */
export function auditSubject(hostId: SubjectToken, area: SubjectToken, kind: SubjectToken): Subject {
  return `herald.audit.${hostId}.${area}.${kind}` as Subject
}

/** Every host's audit events. */
export const allAudits = 'herald.audit.>' as SubjectPattern

/** Whose audit event it is; `undefined` for any other subject. */
export function hostOfAudit(subject: string): SubjectToken | undefined {
  const match = /^herald\.audit\.([A-Za-z0-9_-]{1,128})\.[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}$/.exec(subject)
  return match?.[1] as SubjectToken | undefined
}

/** Of those who share a NATS account each workload gets its answers under a prefix of its own, or each could read the others'. */
export function inboxPrefixOf(spiffeId: string): string {
  return `_INBOX.${createHash('sha256').update(spiffeId).digest('hex').slice(0, 24)}`
}

/** Which connections there are: every server of the system answers those of its system account. */
export const serverConnections = '$SYS.REQ.SERVER.PING.CONNZ' as Subject

/** Where the server with this id is told to end a connection. */
export function endConnectionSubject(serverId: string): Subject | undefined {
  return /^N[A-Z2-7]{55}$/.test(serverId) ? (`$SYS.REQ.SERVER.${serverId}.KICK` as Subject) : undefined
}

/** Where a NATS server with auth callout asks whether to let a client in. */
export const authCalloutSubject = '$SYS.REQ.USER.AUTH' as Subject
