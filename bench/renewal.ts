// 10,000 identities over an hour of a clock that runs as fast as it can: how evenly a host asks its authority.
import { RenewalSchedule } from '../src/identity/renewal-schedule.ts'
import { SvidSlot } from '../src/identity/svid-slot.ts'
import { defaultSvidTuning } from '../src/identity/svid-tuning.ts'
import { createLog } from '../src/observability/log.ts'
import { JwtSvid } from '../src/spiffe/jwt-svid.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { type BenchRun, summarize } from './result.ts'
import { SimulatedClock } from './simulated-clock.ts'

const identities = 10_000
/** SPIRE's default. */
const lifetimeMs = 300_000
const simulatedMs = 3_600_000

type Scene = {
  readonly about: string
  /** Over how long the first requests come, ms. */
  readonly startsWithinMs: number
  /** Whether the authority gives the same token until half of its life, as a SPIRE agent does. */
  readonly keepsUntilHalf: boolean
}

const scenes: readonly Scene[] = [
  { about: 'all started at once', startsWithinMs: 0, keepsUntilHalf: false },
  { about: 'all started at once, at an agent', startsWithinMs: 0, keepsUntilHalf: true },
  { about: 'started over five minutes, at an agent', startsWithinMs: lifetimeMs, keepsUntilHalf: true },
]

export const run: BenchRun = async ({ rounds, say }) => {
  const results = []
  for (const scene of scenes) {
    const ratios: number[] = []
    for (let round = 1; round <= rounds; round++) {
      const { ratio, asked, worst } = await simulate(scene)
      ratios.push(ratio)
      say(`${scene.about}, round ${round}: ${asked} renewals, worst second ${worst}, ${ratio.toFixed(2)} × the mean`)
    }
    const measure = `worst second over mean, ${identities} identities ${scene.about}`
    results.push(summarize(measure, 'ratio', ratios, { comparison: '≤', value: 2 }))
  }
  return results
}

/** The first request of each identity is not counted: only what the host asks of its own accord. The mean is over all the time. */
async function simulate({
  startsWithinMs,
  keepsUntilHalf,
}: Scene): Promise<{ ratio: number; asked: number; worst: number }> {
  const clock = new SimulatedClock(1_800_000_000_000)
  const startMs = clock.nowMs()
  const schedule = new RenewalSchedule(Math.random)
  const log = createLog({ level: 'silent' })
  const perSecond = new Map<number, number>()
  const slots = Array.from({ length: identities }, (_, index) => {
    const spiffeId = parseSpiffeId(`spiffe://example.org/default/c${index}`)
    let issued: JwtSvid | undefined
    const fetch = async (): Promise<JwtSvid> => {
      const nowMs = clock.nowMs()
      if (issued !== undefined) {
        const second = Math.floor((nowMs - startMs) / 1000)
        perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
        if (keepsUntilHalf && nowMs < issued.expiresAt.getTime() - lifetimeMs / 2) return issued
      }
      issued = new JwtSvid(`${index}.${nowMs}`, {
        ...{ spiffeId, audiences: ['a'], issuer: undefined, keyId: undefined, algorithm: 'ES256' },
        ...{ issuedAt: new Date(nowMs), expiresAt: new Date(nowMs + lifetimeMs) },
      })
      return issued
    }
    return new SvidSlot({
      ...{ fetch, clock, random: Math.random, tuning: defaultSvidTuning, schedule, log, onChange: () => {} },
    })
  })
  const never = new AbortController().signal
  for (const slot of slots) {
    void clock.sleep(startsWithinMs * Math.random()).then(() => slot.get(never))
  }
  await clock.run(simulatedMs)
  const counts = [...perSecond.values()]
  const asked = counts.reduce((sum, count) => sum + count, 0)
  const worst = counts.reduce((most, count) => Math.max(most, count), 0)
  return { ratio: worst / (asked / (simulatedMs / 1000)), asked, worst }
}
