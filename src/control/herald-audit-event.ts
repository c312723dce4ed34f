import { isHeraldError } from '../errors/herald-error.ts'
import { withoutTokens } from '../identity/audit.ts'
import type { SubjectToken } from '../lattice/subjects.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import { type Codec, type Decoded, invalid, message, optional, text, timestamp, uint32 } from './proto-json.ts'

/** The version that this file reads and writes: an event of another one is refused. */
export const auditEventVersion = 1

/** Longest texts, characters. Names of the manifest are far shorter. */
const limits = { name: 512, audience: 512, spiffeId: 2_048, reason: 1_000 } as const

const component = message({
  lattice: limited(limits.name),
  namespace: limited(limits.name),
  workload: limited(limits.name),
  workloadId: limited(limits.name),
  component: limited(limits.name),
  imageDigest: limited(limits.name),
})

/**
 * What happened with an identity or a credential of one component, as a host tells it over NATS: docs/audit.md. The fields are those of
 * the record `audit.…` in the host's log. Never holds a token, a key or a secret.
 */
export const auditEvent = message({
  version: uint32,
  /** Random, of one start of the host. */
  run: matching(/^[0-9a-f]{16}$/, '16 hex digits'),
  /** Counted from 1 in a run: where one is missing, an event was lost. */
  sequence: uint32,
  at: timestamp,
  hostId: matching(/^[A-Za-z0-9_-]{1,128}$/, 'the id of a host'),
  /** `audit.identity.granted`: area and kind. */
  event: matching(/^audit\.[a-z][a-z-]{0,31}\.[a-z][a-z-]{0,31}$/, 'audit.AREA.KIND'),
  component: optional(component),
  spiffeId: spiffeIdText(),
  audience: limited(limits.audience),
  expiresAt: timestamp,
  /** SHA-256 of the token, its first 16 hex digits; likewise `credentialId`. */
  tokenId: matching(/^(?:[0-9a-f]{16})?$/, '16 hex digits'),
  credentialId: matching(/^(?:[0-9a-f]{16})?$/, '16 hex digits'),
  /** An ERR_ code. */
  code: matching(/^(?:ERR_[A-Z0-9_]{1,80})?$/, 'an ERR_ code'),
  reason: limited(limits.reason),
  /** How often it happened since the event before; 0 and absent: once. */
  count: uint32,
  /** Name of a binding of `herald:credentials`, or of an entry of `herald:egress`. */
  binding: limited(limits.name),
  provider: limited(limits.name),
  method: limited(limits.name),
  /** What was called: an origin, or another component; of a client of NATS the account. */
  target: limited(limits.name),
  /** Of NATS: address of a client, and what it calls itself. */
  client: limited(limits.name),
})

export type AuditEvent = Decoded<typeof auditEvent>

/** What one of the audit sinks of the capabilities is told; see `src/identity/audit.ts`. */
export type SunkEvent = {
  readonly kind: string
  /** Absent: about none. */
  readonly component?: Partial<Readonly<Record<keyof Decoded<typeof component>, string>>>
} & Readonly<Record<string, unknown>>

/** Of a sink's event; whatever is not among the fields stays out, and texts are cut. */
export function toAuditEvent(
  area: string,
  sunk: SunkEvent,
  about: { readonly hostId: SubjectToken; readonly run: string; readonly sequence: number; readonly atMs: number },
): AuditEvent {
  const textOf = (value: unknown, most: number): string =>
    typeof value === 'string' ? withoutTokens(value).slice(0, most).toWellFormed() : ''
  const idOf = (value: unknown): string => (typeof value === 'string' && /^[0-9a-f]{16}$/.test(value) ? value : '')
  const { component: of } = sunk
  return {
    version: auditEventVersion,
    run: about.run,
    sequence: about.sequence,
    at: new Date(about.atMs),
    hostId: about.hostId,
    event: `audit.${area}.${sunk.kind}`,
    component: of && {
      lattice: textOf(of.lattice, limits.name),
      namespace: textOf(of.namespace, limits.name),
      workload: textOf(of.workload, limits.name),
      workloadId: textOf(of.workloadId, limits.name),
      component: textOf(of.component, limits.name),
      imageDigest: textOf(of.imageDigest, limits.name),
    },
    spiffeId: textOf(sunk.spiffeId, limits.spiffeId),
    audience: textOf(sunk.audience, limits.audience),
    expiresAt: sunk.expiresAt instanceof Date ? sunk.expiresAt : undefined,
    tokenId: idOf(sunk.tokenId),
    credentialId: idOf(sunk.credentialId),
    code: typeof sunk.code === 'string' && /^ERR_[A-Z0-9_]{1,80}$/.test(sunk.code) ? sunk.code : '',
    reason: textOf(sunk.reason, limits.reason),
    count: typeof sunk.count === 'number' && sunk.count >= 0 && sunk.count < 2 ** 32 ? Math.floor(sunk.count) : 0,
    binding: textOf(sunk.binding ?? sunk.entry, limits.name),
    provider: textOf(sunk.provider, limits.name),
    method: textOf(sunk.method, limits.name),
    target: textOf(sunk.target ?? sunk.origin, limits.name),
    client: textOf(sunk.client, limits.name),
  }
}

/** `identity` and `granted` of `audit.identity.granted`. */
export function partsOfEvent({ event }: Pick<AuditEvent, 'event'>): { readonly area: string; readonly kind: string } {
  const [, area = '', kind = ''] = event.split('.')
  return { area, kind }
}

/** @throws ERR_CONTROL_MESSAGE_INVALID when it is of another version, or not of the host it came from. */
export function checkAuditEvent(event: AuditEvent, hostId: string | undefined): AuditEvent {
  if (event.version !== auditEventVersion) throw invalid('version', `expected ${auditEventVersion}`)
  if (event.hostId !== hostId) throw invalid('hostId', 'another one than that of the subject')
  if (event.at === undefined) throw invalid('at', 'is missing')
  return event
}

function limited(most: number): Codec<string> {
  return {
    ...text,
    decode: (value, path) => {
      const decoded = text.decode(value, path)
      if (decoded.length > most) throw invalid(path, `longer than ${most} characters`)
      return decoded
    },
  }
}

function matching(pattern: RegExp, what: string): Codec<string> {
  return {
    ...text,
    decode: (value, path) => {
      const decoded = text.decode(value, path)
      if (!pattern.test(decoded)) throw invalid(path, `expected ${what}`)
      return decoded
    },
  }
}

function spiffeIdText(): Codec<string> {
  return {
    ...text,
    decode: (value, path) => {
      const decoded = text.decode(value, path)
      try {
        return decoded === '' ? decoded : parseSpiffeId(decoded)
      } catch (error) {
        throw invalid(path, isHeraldError(error) ? error.message : 'expected a SPIFFE ID')
      }
    },
  }
}
