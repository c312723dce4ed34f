import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import { callProtocolVersion } from '../../lattice/call-subjects.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import type { CallKey } from './call-key.ts'

/** Who talks to whom; all of it goes into the keys. Public keys are base64url. */
export type SessionParties = {
  readonly caller: SpiffeId
  readonly callerKey: string
  readonly callee: SpiffeId
  readonly calleeKey: string
  readonly replica: string
}

const sealedKind = 1
/** Version, kind, session, number. */
const headerBytes = 16
const sessionBytes = 8
const tagBytes = 16
const cipher = 'aes-256-gcm'

/**
 * The keys of the calls of one component to one replica of another, both ways. They follow from the two hosts' own keys, so the same
 * two that meet again have the same session: a greeting that is sent again begins nothing anew.
 */
export class CallSession {
  /** 8 bytes as `latin1`; tells sessions of one replica apart, and nothing else. */
  readonly id: string
  readonly #toCallee: KeyObject
  readonly #toCaller: KeyObject
  readonly #proof: KeyObject

  /** @param own the key of this side. @throws Error for a key of the other side that is none */
  constructor(own: CallKey, parties: SessionParties) {
    const { caller, callerKey, callee, calleeKey, replica } = parties
    const shared = own.agree(own.publicKey === callerKey ? calleeKey : callerKey)
    const info = ['herald calls', callProtocolVersion, callerKey, calleeKey, caller, callee, replica].join('\n')
    const bytes = Buffer.from(hkdfSync('sha256', shared, '', info, 96 + sessionBytes))
    this.#toCallee = createSecretKey(bytes.subarray(0, 32))
    this.#toCaller = createSecretKey(bytes.subarray(32, 64))
    this.#proof = createSecretKey(bytes.subarray(64, 96))
    this.id = bytes.toString('latin1', 96)
  }

  /** That this side has the keys now: of what the other side has just made up. */
  prove(nonce: string): Buffer {
    return createHmac('sha256', this.#proof).update(nonce).digest()
  }

  hasProved(nonce: string, proof: Buffer): boolean {
    const expected = this.prove(nonce)
    return proof.length === expected.length && timingSafeEqual(proof, expected)
  }

  /** @param number never the same twice with this session */
  sealCall(number: number, message: readonly Uint8Array[]): Uint8Array {
    return this.#seal(this.#toCallee, number, message, undefined)
  }

  /** @returns `undefined` for what the caller has not sealed */
  openCall({ number, frame }: SealedFrame): Buffer | undefined {
    return open(this.#toCallee, number, frame, undefined)
  }

  /** @param number never the same twice with this session. @param call the number of what is answered */
  sealAnswer(number: number, call: number, answer: Uint8Array): Uint8Array {
    return this.#seal(this.#toCaller, number, [answer], call)
  }

  /** @returns `undefined` for what the callee has not sealed as the answer to this call */
  openAnswer({ number, frame }: SealedFrame, call: number): Buffer | undefined {
    return open(this.#toCaller, number, frame, call)
  }

  #seal(key: KeyObject, number: number, parts: readonly Uint8Array[], about: number | undefined): Uint8Array {
    const header = Buffer.alloc(headerBytes)
    header[0] = callProtocolVersion
    header[1] = sealedKind
    header.write(this.id, 2, 'latin1')
    header.writeUIntBE(number, 2 + sessionBytes, 6)
    const seal = createCipheriv(cipher, key, ivOf(number), { authTagLength: tagBytes })
    seal.setAAD(boundTo(header, about))
    const sealed = parts.map((part) => seal.update(part))
    seal.final()
    return Buffer.concat([header, ...sealed, seal.getAuthTag()])
  }
}

export type SealedFrame = { readonly session: string; readonly number: number; readonly frame: Uint8Array }

/** @returns `undefined` for what has not the form of one */
export function readSealed(frame: Uint8Array): SealedFrame | undefined {
  if (frame.length < headerBytes + tagBytes || frame[0] !== callProtocolVersion || frame[1] !== sealedKind)
    return undefined
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, headerBytes)
  return {
    session: bytes.toString('latin1', 2, 2 + sessionBytes),
    number: bytes.readUIntBE(2 + sessionBytes, 6),
    frame,
  }
}

function open(key: KeyObject, number: number, frame: Uint8Array, about: number | undefined): Buffer | undefined {
  const unseal = createDecipheriv(cipher, key, ivOf(number), { authTagLength: tagBytes })
  unseal.setAAD(boundTo(frame.subarray(0, headerBytes), about))
  unseal.setAuthTag(frame.subarray(frame.length - tagBytes))
  const message = unseal.update(frame.subarray(headerBytes, frame.length - tagBytes))
  try {
    unseal.final()
    return message
  } catch {
    return undefined
  }
}

/** An answer is bound to the call that it answers. */
function boundTo(header: Uint8Array, about: number | undefined): Uint8Array {
  if (about === undefined) return header
  const bound = Buffer.alloc(headerBytes + 6)
  bound.set(header)
  bound.writeUIntBE(about, headerBytes, 6)
  return bound
}

function ivOf(number: number): Buffer {
  const iv = Buffer.alloc(12)
  iv.writeUIntBE(number, 6, 6)
  return iv
}
