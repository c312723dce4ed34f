/** What goes before the arguments. */
export type CallHead = {
  /** With version, as the caller imports it. */
  readonly interface: string
  readonly function: string
  /** Fingerprint of the function's types as the caller was built with them. */
  readonly types: string
  /** Milliseconds since the Unix epoch. */
  readonly deadline: number
}

/** Sealed by the caller: a call, or that it no longer waits for the one with this number. */
export type CallMessage =
  | { readonly kind: 'call'; readonly head: CallHead; readonly args: Uint8Array }
  | { readonly kind: 'cancel'; readonly number: number }

/** Why a call was not answered by the function itself. */
export const callRefusals = {
  /** Not a frame of this protocol, or arguments of other types. */
  malformed: { started: false },
  /** No token that can be believed, or of a caller that the callee does not list. */
  denied: { started: false },
  /** The callee's own registration entry is gone. */
  revoked: { started: false },
  /** No such function. */
  unknown: { started: false },
  /** As many calls as allowed are in progress. */
  busy: { started: false },
  /** The callee is stopping. */
  stopping: { started: false },
  /** The callee has forgotten who sealed it. Sent again as it is, it runs once at most. */
  'unknown-session': { started: false },
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

export type CallAnswer = { readonly kind: 'returned'; readonly bytes: Uint8Array } | RefusedCall

export type RefusedCall = { readonly kind: 'refused'; readonly refusal: CallRefusal; readonly message: string }

const maxHeadBytes = 4_096
const maxMessage = 500
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** 0, length of the head (four bytes, the highest first), the head as JSON; the arguments follow. */
export function encodeCall(head: CallHead, args: Uint8Array): readonly Uint8Array[] {
  const json = encoder.encode(JSON.stringify(head))
  const start = new Uint8Array(5 + json.length)
  new DataView(start.buffer).setUint32(1, json.length)
  start.set(json, 5)
  return [start, args]
}

/** 1 and the number of the call, in six bytes. */
export function encodeCancel(number: number): readonly Uint8Array[] {
  const message = Buffer.alloc(7)
  message[0] = 1
  message.writeUIntBE(number, 1, 6)
  return [message]
}

/** @returns `undefined` for whatever is not exactly a message of a caller; `args` is a view */
export function parseCallMessage(message: Buffer): CallMessage | undefined {
  if (message[0] === 1 && message.length === 7) return { kind: 'cancel', number: message.readUIntBE(1, 6) }
  if (message[0] !== 0 || message.length < 5) return undefined
  const length = message.readUInt32BE(1)
  if (length > maxHeadBytes || length > message.length - 5) return undefined
  const head = parseHead(message.subarray(5, 5 + length))
  return head && { kind: 'call', head, args: message.subarray(5 + length) }
}

function parseHead(bytes: Uint8Array): CallHead | undefined {
  const { interface: name, function: fn, types, deadline, ...rest } = parseObject(bytes) ?? {}
  if (Object.keys(rest).length > 0) return undefined
  if (typeof name !== 'string' || name.length > 512 || typeof fn !== 'string' || fn.length > 256) return undefined
  if (typeof types !== 'string' || types.length > 64) return undefined
  if (typeof deadline !== 'number' || !Number.isSafeInteger(deadline)) return undefined
  return { interface: name, function: fn, types, deadline }
}

/** 0 and the value; or 1 and JSON that says why there is none. */
export function encodeAnswer(answer: CallAnswer): Uint8Array {
  const body = answer.kind === 'returned' ? answer.bytes : refusalBytes(answer)
  const message = new Uint8Array(1 + body.length)
  message[0] = answer.kind === 'returned' ? 0 : 1
  message.set(body, 1)
  return message
}

export function refusalBytes({ refusal, message }: RefusedCall): Uint8Array {
  return encoder.encode(JSON.stringify({ refusal, message: message.slice(0, maxMessage).toWellFormed() }))
}

/** @returns `undefined` for whatever is not exactly an answer */
export function parseAnswer(message: Uint8Array): CallAnswer | undefined {
  if (message[0] === 0) return { kind: 'returned', bytes: message.subarray(1) }
  return message[0] === 1 ? parseRefusal(message.subarray(1)) : undefined
}

export function parseRefusal(bytes: Uint8Array): RefusedCall | undefined {
  if (bytes.length > 4_096) return undefined
  const { refusal, message } = parseObject(bytes) ?? {}
  if (typeof refusal !== 'string' || !Object.hasOwn(callRefusals, refusal) || typeof message !== 'string')
    return undefined
  return { kind: 'refused', refusal: refusal as CallRefusal, message: message.slice(0, maxMessage) }
}

/** @returns `undefined` for what is no JSON object */
export function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(decoder.decode(bytes))
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
