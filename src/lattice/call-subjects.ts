import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import type { Subject } from './subjects.ts'

/** Of the subjects and of the frames on them: docs/calls.md. */
export const callProtocolVersion = 1

/**
 * Where the calls of one component go: `herald.calls.1.example_2Eorg.team-a.ledger`. One token for the trust domain and each part of the
 * path, so that permissions of NATS can be given by prefix; `.` and `_` in them are written `_2E` and `_5F`.
 */
export function callSubject(callee: SpiffeId): Subject {
  return `herald.calls.${callProtocolVersion}.${tokensOf(callee)}` as Subject
}

/** Where callers say that they no longer wait; every replica of the callee listens. */
export function callCancelSubject(callee: SpiffeId): Subject {
  return `herald.call-cancels.${callProtocolVersion}.${tokensOf(callee)}` as Subject
}

function tokensOf(id: SpiffeId): string {
  const tokens = [trustDomainOf(id), ...pathOf(id).split('/').slice(1)]
  return tokens.map((token) => token.replaceAll('_', '_5F').replaceAll('.', '_2E')).join('.')
}
