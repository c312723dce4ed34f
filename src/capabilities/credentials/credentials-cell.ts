import { type Clock, systemClock } from '../../clock/clock.ts'
import type { CredentialSecret } from '../../federation/credentials.ts'
import type { CellCapability, CellChannel, InstanceContext } from '../capability.ts'
import { SharedSlots } from '../identity/shared-slots.ts'
import type { CredentialsAnswer, CredentialsCellConfig, CredentialsError } from './credentials-answer.ts'

type Granted = Extract<CredentialsAnswer, { kind: 'granted' }>

/** `record credentials` of the WIT, as jco's glue takes it. */
export type GuestCredentials = { readonly credential: GuestCredential; readonly expiresAt: bigint }
type GuestCredential =
  | { readonly tag: 'aws'; readonly val: Omit<Extract<CredentialSecret, { kind: 'aws' }>, 'kind'> }
  | { readonly tag: 'bearer'; readonly val: string }
  | { readonly tag: 'secret'; readonly val: readonly (readonly [string, string])[] }

/** `herald:credentials/store` in the cell: it holds what its own component was granted, and nothing else. */
export function openCapability(config: unknown, channel: CellChannel, clock: Clock = systemClock): CellCapability {
  const { names, shared } = config as CredentialsCellConfig
  const slots = SharedSlots.open(shared)
  const slotOf = new Map(names.map((name, slot) => [name, slot]))
  const held: (Granted | undefined)[] = names.map(() => undefined)

  async function ask(slot: number, { signal, trace }: InstanceContext): Promise<GuestCredentials> {
    let answer: CredentialsAnswer
    try {
      answer = (await channel.request('get', slot, { signal, trace })) as CredentialsAnswer
    } catch (error) {
      signal.throwIfAborted()
      throw new CredentialsFailure({ tag: 'unavailable', val: 'the host could not be asked: try again' }, error)
    }
    if (answer.kind === 'refused') throw new CredentialsFailure(answer.error)
    held[slot] = answer
    return toGuest(answer)
  }

  return {
    prepare(instance) {
      return {
        'herald:credentials/store': {
          /** At once when they are held, else a promise of them. @throws CredentialsFailure, which the glue turns into the `err` case. */
          get(binding: string): GuestCredentials | Promise<GuestCredentials> {
            const slot = slotOf.get(binding)
            if (slot === undefined) {
              slots.countRefusal()
              throw new CredentialsFailure({ tag: 'unknown-binding' })
            }
            const known = held[slot]
            if (known !== undefined && known.epoch === slots.epoch(slot) && clock.nowMs() < known.usableUntilMs) {
              slots.countDelivery(slot)
              return toGuest(known)
            }
            held[slot] = undefined
            return ask(slot, instance)
          },
        },
      }
    },
  }
}

function toGuest({ secret, expiresAtMs }: Granted): GuestCredentials {
  return { credential: toCredential(secret), expiresAt: BigInt(Math.floor(expiresAtMs / 1000)) }
}

function toCredential(secret: CredentialSecret): GuestCredential {
  switch (secret.kind) {
    case 'aws': {
      const { kind: _, ...val } = secret
      return { tag: 'aws', val }
    }
    case 'bearer':
      return { tag: 'bearer', val: secret.token }
    case 'fields':
      return { tag: 'secret', val: Object.entries(secret.fields) }
  }
}

/** jco's glue makes the guest's `err` case of whatever is thrown with a `payload`. */
class CredentialsFailure extends Error {
  readonly payload: CredentialsError

  constructor(payload: CredentialsError, cause?: unknown) {
    super(`herald:credentials/store: ${payload.tag}`, { cause })
    this.payload = payload
  }
}
