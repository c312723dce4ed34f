import assert from 'node:assert/strict'
import type { NatsConnection } from 'nats'
import { parseAnswer } from '../../src/capabilities/calls/call-frame.ts'
import type { CallKey } from '../../src/capabilities/calls/call-key.ts'
import { CallSession, readSealed } from '../../src/capabilities/calls/call-session.ts'
import { encodeGreeting, parseClearRefusal, parseIntroduction } from '../../src/capabilities/calls/greeting-frame.ts'
import { callReplicaSubject, callSubject } from '../../src/lattice/call-subjects.ts'
import type { SpiffeId } from '../../src/spiffe/spiffe-id.ts'

/** Of the greetings of tests. */
export const nonce = 'A'.repeat(22)

/** What a callee answers to whoever is on NATS: the name of its refusal in the clear, or `met`. */
export async function greetCallee(nats: NatsConnection, callee: SpiffeId, frame: Uint8Array | string): Promise<string> {
  const { data } = await nats.request(callSubject(callee), frame, { timeout: 10_000 })
  const answer = parseIntroduction(data)
  assert.ok(answer)
  return 'kind' in answer ? answer.refusal : 'met'
}

/** Meets one replica of a callee as a host does, with what a test wants to send. */
export async function openPretendedCaller(
  nats: NatsConnection,
  callee: SpiffeId,
  { id, key, token }: { id: SpiffeId; key: CallKey; token: string },
) {
  const greeting = encodeGreeting({ key: key.publicKey, nonce, token })
  const { data } = await nats.request(callSubject(callee), greeting, { timeout: 10_000 })
  const met = parseIntroduction(data)
  assert.ok(met !== undefined && !('kind' in met))
  const parties = { caller: id, callerKey: key.publicKey, callee, calleeKey: met.key, replica: met.replica }
  const session = new CallSession(key, parties)
  assert.ok(session.hasProved(nonce, Buffer.from(met.proof, 'base64url')))
  const subject = callReplicaSubject(callee, met.replica)

  /** What the callee answers: the name of its refusal, in the clear or sealed for this call, or `returned`. */
  async function send(frame: Uint8Array, number: number): Promise<string> {
    const { data } = await nats.request(subject, frame, { timeout: 10_000 })
    const inTheClear = parseClearRefusal(data)
    if (inTheClear !== undefined) return `${inTheClear.refusal} in the clear`
    const sealed = readSealed(data)
    const opened = sealed && session.openAnswer(sealed, number)
    const answer = opened && parseAnswer(opened)
    assert.ok(answer, 'sealed as the answer to this call')
    return answer.kind === 'refused' ? answer.refusal : answer.kind
  }

  return {
    key,
    session,
    replica: met.replica,
    calleeKey: met.key,
    send,
    call(parts: readonly Uint8Array[]): Promise<string> {
      const number = key.nextNumber()
      return send(session.sealCall(number, parts), number)
    },
  }
}
