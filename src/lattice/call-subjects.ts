import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { Subject } from './subjects.ts'

/** Of the subjects and of the frames on them: docs/calls.md. */
export const callProtocolVersion = 2

/**
 * Where one asks who answers for a component: `herald.calls.2.example_2Eorg.team-a.ledger`. One token for the trust domain and each part
 * of the path, so that permissions of NATS can be given by prefix; `.` and `_` in them are written `_2E` and `_5F`.
 */
export function callSubject(callee: SpiffeId): Subject {
  return `herald.calls.${callProtocolVersion}.${tokensOf(callee)}` as Subject
}

/**
 * Where the calls of one replica go: `….ledger._r0f…`. No part of a SPIFFE ID is written like its last token.
 * @param replica 32 hexadecimal digits
 */
export function callReplicaSubject(callee: SpiffeId, replica: string): Subject {
  return `${callSubject(callee)}._r${replica}` as Subject
}

function tokensOf(id: SpiffeId): string {
  const tokens = [trustDomainOf(id), ...pathOf(id).split('/').slice(1)]
  return tokens.map((token) => token.replaceAll('_', '_5F').replaceAll('.', '_2E')).join('.')
}
