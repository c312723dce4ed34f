import type { HeaderPairs } from '../capability.ts'
import type { RejectedReport, SignRequest } from './egress-answer.ts'

const maxFields = 1_100
const maxText = 128 * 1024

/** What a cell asks, checked: a guest may have a hand in it. @throws TypeError */
export function parseSignRequest(payload: unknown): SignRequest {
  const { slot, head } = record(payload)
  const { method, path, headers, bodySha256 } = record(head)
  if (bodySha256 !== undefined && !(typeof bodySha256 === 'string' && /^[0-9a-f]{64}$/.test(bodySha256)))
    throw malformed()
  return { slot: slotOf(slot), head: { method: text(method), path: text(path), headers: pairs(headers), bodySha256 } }
}

/** @throws TypeError */
export function parseRejectedReport(payload: unknown): RejectedReport {
  const { slot, credentialId } = record(payload)
  return { slot: slotOf(slot), credentialId: text(credentialId) }
}

function pairs(value: unknown): HeaderPairs {
  if (!Array.isArray(value) || value.length > maxFields) throw malformed()
  return value.map((pair: unknown) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw malformed()
    return [text(pair[0]), text(pair[1])] as const
  })
}

function text(value: unknown): string {
  // A line break would let one field end and another begin in what is signed.
  if (typeof value !== 'string' || value.length > maxText || /[\r\n\0]/.test(value)) throw malformed()
  return value
}

function slotOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw malformed()
  return value
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw malformed()
  return value as Record<string, unknown>
}

function malformed(): TypeError {
  return new TypeError('herald:egress: malformed request')
}
