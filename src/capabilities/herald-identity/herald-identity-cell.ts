import type { CellCapability, CellChannel } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import {
  type Answer,
  type Methods,
  maxAudienceLength,
  maxSignedBytes,
  maxTokenLength,
} from './herald-identity-answer.ts'

/** `herald:identity` in the cell. It holds nothing: every call asks the control thread, where keys and bundles are. */
export function openCapability(_config: unknown, channel: CellChannel): CellCapability {
  async function ask<M extends keyof Methods>(
    method: M,
    asked: Methods[M]['asked'],
    away: Methods[M]['error'],
    signal: AbortSignal,
  ): Promise<Methods[M]['value']> {
    let answer: Answer<M>
    try {
      answer = (await channel.request(method, asked, { signal })) as Answer<M>
    } catch (cause) {
      signal.throwIfAborted()
      throw new GuestFailure(away, { cause })
    }
    if (answer.kind === 'refused') throw new GuestFailure(answer.error)
    return answer.value
  }
  const busy = 'the host could not be asked: try again'

  return {
    prepare(instance) {
      const { signal } = instance
      return {
        'herald:identity/caller': {
          current: () => instance.caller ?? { tag: 'unknown' },
        },
        'herald:identity/component': {
          subject: () => ask('subject', undefined, { tag: 'io', val: busy }, signal),
        },
        'herald:identity/verifier': {
          async verify(token: string, audience: string) {
            if (token.length > maxTokenLength || audience.length > maxAudienceLength) {
              throw new GuestFailure({ tag: 'invalid', val: 'the token or the audience is too long' })
            }
            const claims = await ask('verify', { token, audience }, { tag: 'unavailable', val: busy }, signal)
            const { subject, audience: audiences, expiresAtS, issuedAtS, issuer } = claims
            return {
              subject,
              audience: audiences,
              expiresAt: BigInt(expiresAtS),
              issuedAt: issuedAtS === undefined ? undefined : BigInt(issuedAtS),
              issuer,
            }
          },
        },
        'herald:identity/x509': {
          async current() {
            const { expiresAtS, ...svid } = await ask('svid', undefined, { tag: 'io', val: busy }, signal)
            return { ...svid, expiresAt: BigInt(expiresAtS) }
          },
          async sign(data: Uint8Array) {
            if (data.length > maxSignedBytes) {
              throw new GuestFailure({
                tag: 'other',
                val: `more than ${maxSignedBytes} bytes are not signed at once: sign a hash`,
              })
            }
            // A copy: the view is of the guest's memory.
            return ask('sign', data.slice(), { tag: 'io', val: busy }, signal)
          },
        },
      }
    },
  }
}
