import type { Clock } from '../../clock/clock.ts'
import { isHeraldError } from '../../errors/herald-error.ts'
import type { Log } from '../../observability/log.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'
import { formatRawId, type RawId } from '../registration-entry.ts'
import { openSpireChannel } from './spire-channel.ts'
import { fromSpireStatus } from './spire-status.ts'

/** The SPIFFE IDs of which the SPIRE server has an entry, asked for again and again. Disposal ends that. */
export interface RegisteredIds extends AsyncDisposable {
  /** `undefined` as long as the server has not answered once. What it said last stays through an outage. */
  has(spiffeId: SpiffeId): boolean | undefined
  /** Asks now, or shares the question that is under way. Never rejects: then what was known stays. */
  refresh(): Promise<void>
  /** Called after every answer in which SPIFFE IDs are missing that were there before, and after the first. */
  onGone(listener: () => void): void
}

export type RegisteredIdsOptions = {
  /** The server's own socket; `unix:` or `unix://` before it is fine. It need not be there yet. */
  readonly socketPath: string
  /** Between two questions, ms. Default 1,000. */
  readonly pollMs?: number
  readonly clock: Clock
  readonly log: Log
}

type EntriesPage = {
  readonly entries: readonly { readonly spiffe_id: RawId | null; readonly expires_at: string }[]
  readonly next_page_token: string
}

const pageSize = 5_000
const answerWithinMs = 5_000

export function watchRegisteredIds({ socketPath, pollMs = 1_000, clock, log }: RegisteredIdsOptions): RegisteredIds {
  const channel = openSpireChannel(socketPath, { proto: 'entry.proto', name: 'spire.api.server.entry.v1.Entry' })
  const lifetime = new AbortController()
  const listeners: (() => void)[] = []
  let known: ReadonlySet<string> | undefined
  let asking: Promise<void> | undefined
  let complaint: string | undefined

  async function list(): Promise<ReadonlySet<string>> {
    const signal = AbortSignal.any([lifetime.signal, AbortSignal.timeout(answerWithinMs)])
    const found = new Set<string>()
    const nowS = clock.nowMs() / 1000
    let token = ''
    do {
      const request = { output_mask: { spiffe_id: true, expires_at: true }, page_size: pageSize, page_token: token }
      const page: EntriesPage = await channel.ask<EntriesPage>('ListEntries', request, { signal })
      for (const { spiffe_id, expires_at } of page.entries) {
        const expiresS = Number(expires_at)
        if (spiffe_id !== null && (expiresS === 0 || expiresS > nowS)) found.add(formatRawId(spiffe_id))
      }
      token = page.next_page_token
    } while (token !== '')
    return found
  }

  async function ask(): Promise<void> {
    try {
      const found = await list()
      const before = known
      known = found
      complaint = undefined
      if (before === undefined || [...before].some((spiffeId) => !found.has(spiffeId)))
        for (const listener of listeners) listener()
    } catch (cause) {
      if (lifetime.signal.aborted) return
      const error = isHeraldError(cause) ? cause : fromSpireStatus(cause, socketPath, 'entry')
      if (error.message === complaint) return
      complaint = error.message
      log.warn(
        { event: 'spire.entries_unknown', code: error.code },
        `what is known of entries stays: ${error.describe()}`,
      )
    }
  }

  const refresh = (): Promise<void> => {
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }

  async function keepAsking(): Promise<void> {
    while (!lifetime.signal.aborted) {
      await refresh()
      await clock.sleep(pollMs, { signal: lifetime.signal }).catch(() => {})
    }
  }
  const following = keepAsking()

  return {
    has: (spiffeId) => known?.has(spiffeId),
    refresh,
    onGone: (listener) => void listeners.push(listener),
    async [Symbol.asyncDispose]() {
      lifetime.abort()
      await following
      channel.close()
    },
  }
}
