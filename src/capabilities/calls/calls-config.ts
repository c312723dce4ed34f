import { isHeraldError } from '../../errors/herald-error.ts'
import type { HostInterface } from '../../manifest/host-interface.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { EntrySettings } from '../entry-settings.ts'
import { type CallerPattern, parseCallerPattern } from './caller-pattern.ts'

/** Keys of an entry for an interface that is no capability's: who serves it, and to whom. `component` is read where components are linked. */
export const callsKeys = ['component', 'callee', 'callers', 'spiffe-id', 'timeout-ms', 'max-in-flight'] as const

export type CallsEntry = {
  /** Whom to call. */
  readonly callee: SpiffeId | undefined
  /** Who may call; none: nobody. */
  readonly callers: readonly CallerPattern[]
  /** The component's own: the one to accept when several entries of the authority match. */
  readonly spiffeId: SpiffeId | undefined
  /** Longest time of one call, ms; the caller's request timeout bounds it too. */
  readonly timeoutMs: number
  /** Calls of others at a time; with more they are told that it is busy. Also of calls that go out. */
  readonly maxInFlight: number
}

/** @throws ERR_CAPABILITY_CONFIG */
export function parseCallsEntry(entry: HostInterface): CallsEntry {
  const settings = new EntrySettings(entry, callsKeys)
  const spiffeIdOf = (key: 'callee' | 'spiffe-id'): SpiffeId | undefined => {
    const text = settings.text(key)
    if (text === undefined) return undefined
    try {
      return parseSpiffeId(text)
    } catch (cause) {
      const why = isHeraldError(cause) ? cause.message : String(cause)
      throw settings.refusal(`${key}: ${why}`, 'write it like spiffe://example.org/default/ledger', cause)
    }
  }
  if (settings.text('callee') !== undefined && settings.text('component') !== undefined) {
    throw settings.refusal(
      'it has a callee and a component',
      'name one of them: a SPIFFE ID elsewhere, or a component of this workload',
    )
  }
  const callers = settings.list('callers').map((text) => {
    const pattern = parseCallerPattern(text)
    if (pattern !== undefined) return pattern
    throw settings.refusal(
      `callers: ${JSON.stringify(text.slice(0, 100))} cannot be used`,
      'write SPIFFE IDs, or all below one: spiffe://example.org/team-a/*',
    )
  })
  return {
    callee: spiffeIdOf('callee'),
    callers,
    spiffeId: spiffeIdOf('spiffe-id'),
    timeoutMs: settings.integer('timeout-ms', { min: 1, max: 600_000, fallback: 30_000 }),
    maxInFlight: settings.integer('max-in-flight', { min: 1, max: 4_096, fallback: 64 }),
  }
}
