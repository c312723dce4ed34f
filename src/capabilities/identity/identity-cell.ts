import { type Clock, systemClock } from '../../clock/clock.ts'
import type { CarriedTrace } from '../../observability/trace-context.ts'
import type { CellCapability, CellChannel, InstanceContext } from '../capability.ts'
import {
  audienceRefusal,
  type IdentityAnswer,
  type IdentityCellConfig,
  type IdentityPush,
  type StoreError,
} from './identity-answer.ts'
import { SharedSlots } from './shared-slots.ts'

/** Most distinct audiences that are reported to the control thread one by one; those beyond are only counted. */
const maxReportedRefusals = 32

type HeldToken = { readonly token: string; readonly usableUntilMs: number; readonly epoch: number }

/**
 * `wasmcloud:identity/store` in the cell. It holds the tokens that its own component has been granted; from memory they go out without
 * a promise, so that the guest's stack need not be suspended. Everything else is asked of the control thread.
 */
export function openCapability(config: unknown, channel: CellChannel, clock: Clock = systemClock): CellCapability {
  const { audiences, shared } = config as IdentityCellConfig
  const slots = SharedSlots.open(shared)
  const slotOf = new Map(audiences.map((audience, slot) => [audience, slot]))
  const held: (HeldToken | undefined)[] = audiences.map(() => undefined)
  const reported = new Set<string>()

  channel.onMessage((message) => {
    const { slot, token, usableUntilMs, epoch } = message as IdentityPush
    if (slot >= 0 && slot < held.length) held[slot] = { token, usableUntilMs, epoch }
  })

  function refuse(audience: string, trace: CarriedTrace | undefined): never {
    // Through bytes, since a slice may keep the guest's whole text alive.
    const name = Buffer.from(audience.slice(0, 200)).toString()
    if (reported.size < maxReportedRefusals && !reported.has(name)) {
      reported.add(name)
      channel
        .request('refused', name, { signal: new AbortController().signal, trace })
        .catch(() => slots.countRefusal())
    } else slots.countRefusal()
    throw new StoreFailure(audienceRefusal(audience))
  }

  async function ask(slot: number, { signal, trace }: InstanceContext): Promise<string> {
    let answer: IdentityAnswer
    try {
      answer = (await channel.request('get', slot, { signal, trace })) as IdentityAnswer
    } catch (error) {
      signal.throwIfAborted()
      throw new StoreFailure({ tag: 'io', val: 'the host could not be asked: try again' }, error)
    }
    if (answer.kind === 'refused') throw new StoreFailure(answer.error)
    const { token, usableUntilMs, epoch } = answer
    held[slot] = { token, usableUntilMs, epoch }
    return token
  }

  return {
    prepare(instance) {
      return {
        'wasmcloud:identity/store': {
          /** The token, at once when it is held, else a promise of it. @throws StoreFailure, which the glue turns into the `err` case. */
          get(audience: string): string | Promise<string> {
            const slot = slotOf.get(audience)
            if (slot === undefined) return refuse(audience, instance.trace)
            const token = held[slot]
            if (token !== undefined && token.epoch === slots.epoch(slot) && clock.nowMs() < token.usableUntilMs) {
              slots.countDelivery(slot)
              return token.token
            }
            held[slot] = undefined
            return ask(slot, instance)
          },
        },
      }
    },
  }
}

/** jco's glue makes the guest's `err` case of whatever is thrown with a `payload`. */
class StoreFailure extends Error {
  readonly payload: StoreError

  constructor(payload: StoreError, cause?: unknown) {
    super(`wasmcloud:identity/store: ${payload.tag}`, { cause })
    this.payload = payload
  }
}
