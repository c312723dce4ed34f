import { randomBytes } from 'node:crypto'
import type { StandInResponse } from '../../relying-parties/http-stand-in.ts'

export function jsonAnswer(status: number, value: object): StandInResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

/** As opaque as the real ones. */
export function opaqueToken(): string {
  return randomBytes(48).toString('base64url')
}
