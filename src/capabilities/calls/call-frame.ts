import { callProtocolVersion } from '../../lattice/call-subjects.ts'

/** What goes before the arguments. */
export type CallHead = {
  /** 32 hexadecimal digits nobody can guess: whoever knows them may cancel the call. */
  readonly id: string
  /** With version, as the caller imports it. */
  readonly interface: string
  readonly function: string
  /** Fingerprint of the function's types as the caller was built with them. */
  readonly types: string
  /** Milliseconds since the Unix epoch. */
  readonly deadline: number
  /** JWT-SVID of the caller, for the callee's SPIFFE ID. */
  readonly token: string
}

/** Why a call was not answered by the function itself. */
export const callRefusals = {
  /** Not a frame of this protocol, or arguments of other types. */
  malformed: { started: false },
  /** No token that can be believed, or of a caller that the callee does not list. */
  denied: { started: false },
  /** No such function. */
  unknown: { started: false },
  /** As many calls as allowed are in progress. */
  busy: { started: false },
  /** The callee is stopping. */
  stopping: { started: false },
  /** Seen before: a call is made once. */
  repeated: { started: false },
  /** It was too late before it began, or it took too long. */
  deadline: { started: true },
  /** The callee trapped, or its cell ended. */
  failed: { started: true },
  /** The answer is larger than NATS takes. */
  'too-large': { started: true },
  /** The caller no longer waits. */
  cancelled: { started: true },
} as const

/** `started: false` promises that the function did not run. */
export type CallRefusal = keyof typeof callRefusals

export type CallAnswer =
  | { readonly kind: 'returned'; readonly bytes: Uint8Array }
  | { readonly kind: 'refused'; readonly refusal: CallRefusal; readonly message: string }

const maxHeadBytes = 24_576
const maxMessage = 500
const fixedBytes = 5
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Version, length of the head (four bytes, the highest first), the head as JSON, the arguments. */
export function encodeCall(head: CallHead, args: Uint8Array): Uint8Array {
  const json = encoder.encode(JSON.stringify(head))
  const frame = new Uint8Array(fixedBytes + json.length + args.length)
  frame[0] = callProtocolVersion
  new DataView(frame.buffer).setUint32(1, json.length)
  frame.set(json, fixedBytes)
  frame.set(args, fixedBytes + json.length)
  return frame
}

/** @returns `undefined` for whatever is not exactly a frame of this version; `args` is a view */
export function parseCall(frame: Uint8Array): { readonly head: CallHead; readonly args: Uint8Array } | undefined {
  if (frame.length < fixedBytes || frame[0] !== callProtocolVersion) return undefined
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(1)
  if (length > maxHeadBytes || length > frame.length - fixedBytes) return undefined
  const head = parseHead(frame.subarray(fixedBytes, fixedBytes + length))
  return head === undefined ? undefined : { head, args: frame.subarray(fixedBytes + length) }
}

function parseHead(bytes: Uint8Array): CallHead | undefined {
  let json: unknown
  try {
    json = JSON.parse(decoder.decode(bytes))
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json === null) return undefined
  const { id, interface: name, function: fn, types, deadline, token, ...rest } = json as Record<string, unknown>
  if (Object.keys(rest).length > 0) return undefined
  if (typeof id !== 'string' || !isCallId(id)) return undefined
  if (typeof name !== 'string' || name.length > 512 || typeof fn !== 'string' || fn.length > 256) return undefined
  if (typeof types !== 'string' || types.length > 64) return undefined
  if (typeof deadline !== 'number' || !Number.isSafeInteger(deadline) || typeof token !== 'string') return undefined
  return { id, interface: name, function: fn, types, deadline, token }
}

export function isCallId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

/** Version, 0 and the value; or version, 1 and JSON that says why there is none. */
export function encodeAnswer(answer: CallAnswer): Uint8Array {
  const { refusal, message } = answer.kind === 'refused' ? answer : { refusal: '', message: '' }
  const body =
    answer.kind === 'returned'
      ? answer.bytes
      : encoder.encode(JSON.stringify({ refusal, message: message.slice(0, maxMessage).toWellFormed() }))
  const frame = new Uint8Array(2 + body.length)
  frame[0] = callProtocolVersion
  frame[1] = answer.kind === 'returned' ? 0 : 1
  frame.set(body, 2)
  return frame
}

/** @returns `undefined` for whatever is not exactly an answer of this version */
export function parseAnswer(frame: Uint8Array): CallAnswer | undefined {
  if (frame.length < 2 || frame[0] !== callProtocolVersion) return undefined
  const body = frame.subarray(2)
  if (frame[1] === 0) return { kind: 'returned', bytes: body }
  if (frame[1] !== 1 || body.length > 4_096) return undefined
  try {
    const { refusal, message } = JSON.parse(decoder.decode(body)) as { refusal?: unknown; message?: unknown }
    if (typeof refusal !== 'string' || !Object.hasOwn(callRefusals, refusal) || typeof message !== 'string')
      return undefined
    return { kind: 'refused', refusal: refusal as CallRefusal, message: message.slice(0, maxMessage) }
  } catch {
    return undefined
  }
}
