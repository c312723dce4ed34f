import { callProtocolVersion } from '../../lattice/call-subjects.ts'
import { parseObject, parseRefusal, type RefusedCall, refusalBytes } from './call-frame.ts'
import { isCallPublicKey } from './call-key.ts'

/** Of a caller: who it is, and by which key. `nonce`: made up for this greeting. */
export type Greeting = { readonly key: string; readonly nonce: string; readonly token: string }

/** Of a replica of the callee. `proof`: of the nonce, by the session that follows from both keys. */
export type Introduction = {
  readonly replica: string
  readonly key: string
  readonly token: string
  readonly proof: string
}

const greetingKind = 0
const refusalKind = 2
const maxGreetingBytes = 24_576
const nonceForm = /^[A-Za-z0-9_-]{22}$/
const proofForm = /^[A-Za-z0-9_-]{43}$/
const replicaForm = /^[0-9a-f]{32}$/

/** Version, 0, JSON. */
export function encodeGreeting(greeting: Greeting | Introduction): Uint8Array {
  return clearFrame(greetingKind, Buffer.from(JSON.stringify(greeting)))
}

/** @returns `undefined` for whatever is not exactly one of this version */
export function parseGreeting(frame: Uint8Array): Greeting | undefined {
  const { key, nonce, token, ...rest } = parseClear(frame, greetingKind) ?? {}
  if (typeof key !== 'string' || typeof nonce !== 'string' || typeof token !== 'string') return undefined
  if (Object.keys(rest).length > 0 || !isCallPublicKey(key) || !nonceForm.test(nonce)) return undefined
  return { key, nonce, token }
}

/** @returns `undefined` for whatever is not exactly one of this version, or a refusal */
export function parseIntroduction(frame: Uint8Array): Introduction | RefusedCall | undefined {
  const { replica, key, token, proof } = parseClear(frame, greetingKind) ?? {}
  if (typeof key !== 'string' || typeof token !== 'string' || typeof replica !== 'string' || typeof proof !== 'string')
    return parseClearRefusal(frame)
  if (!isCallPublicKey(key) || !replicaForm.test(replica) || !proofForm.test(proof)) return undefined
  return { replica, key, token, proof }
}

/** Version, 2, JSON. Anybody could have said it: it promises nothing. */
export function encodeClearRefusal(refused: RefusedCall): Uint8Array {
  return clearFrame(refusalKind, refusalBytes(refused))
}

export function parseClearRefusal(frame: Uint8Array): RefusedCall | undefined {
  return frame[0] === callProtocolVersion && frame[1] === refusalKind ? parseRefusal(frame.subarray(2)) : undefined
}

function parseClear(frame: Uint8Array, kind: number): Record<string, unknown> | undefined {
  if (frame[0] !== callProtocolVersion || frame[1] !== kind || frame.length > maxGreetingBytes) return undefined
  return parseObject(frame.subarray(2))
}

function clearFrame(kind: number, json: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(callProtocolVersion, kind), json])
}
