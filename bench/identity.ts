import { setTimeout as sleep } from 'node:timers/promises'
import { createIdentityCapability } from '../src/capabilities/identity/identity-capability.ts'
import { openCapability } from '../src/capabilities/identity/identity-cell.ts'
import { systemClock } from '../src/clock/clock.ts'
import type { ComponentFacts } from '../src/identity/component-facts.ts'
import { selectorsOf } from '../src/identity/selectors.ts'
import { connectDelegatedIdentity } from '../src/identity/spire/delegated-identity-client.ts'
import { createSpireAuthority } from '../src/identity/spire/spire-authority.ts'
import { createSvidSource, type SvidSource } from '../src/identity/svid-source.ts'
import { createLog } from '../src/observability/log.ts'
import { openComponentHouse } from '../test/components/component-house.ts'
import { startSpire } from '../test/support/spire.ts'
import { type BenchRun, summarize } from './result.ts'

const log = createLog({ level: 'error' })
const clock = systemClock
const component: ComponentFacts = {
  lattice: 'default',
  namespace: 'default',
  workloadName: 'bench',
  workloadId: 'bench',
  componentName: 'bench',
  image: 'example.org/bench:1',
  imageDigest: `sha256:${'00'.repeat(32)}`,
  environment: undefined,
  hostLabels: {},
}

/**
 * Cold: a fetch through the SVID source (choice, verification, cache included) against one raw grpc-js call to the same real SPIRE agent
 * with the same selectors, an audience never seen before each, alternating call by call. Warm: `store.get` by the clock of a native guest
 * (components/whoami-c in the real engine, development authority), and in the cell's half alone; policy and count of deliveries are on.
 */
export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  say('starting SPIRE')
  await using spire = await startSpire({ oidc: false, defaultJwtSvidTtl: '5m' })
  await spire.createEntry({ spiffeId: 'spiffe://example.org/default/bench', selectors: ['wasmcloud:component:bench'] })
  await using authority = createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock })
  await using svids = createSvidSource({ authority, clock, log })
  const identity = svids.open(component)
  const selectors = selectorsOf(component)
  const rawClient = connectDelegatedIdentity(spire.adminSocketPath)
  let audiences = 0
  const newAudience = (): string => `bench-${audiences++}`
  const signal = AbortSignal.timeout(10 * 60_000)

  const raw = async (): Promise<void> => {
    const { svids: issued } = await rawClient.fetchJwtSvids({ audience: [newAudience()], selectors }, { signal })
    if (issued.length !== 1) throw new Error(`SPIRE issued ${issued.length} SVIDs`)
  }
  const herald = async (): Promise<void> => {
    await identity.fetchJwtSvid([newAudience()], { signal })
  }
  const timeUs = async (call: () => Promise<void>): Promise<number> => {
    const began = performance.now()
    await call()
    return (performance.now() - began) * 1000
  }

  say('building and starting the native guest')
  await using house = await openComponentHouse()
  const { url } = await house.deploy('whoami-c', { poolSize: 1 })
  for (let warmUp = 0; warmUp < 3; warmUp++) await guestGetUs(url)

  for (let warmUp = 0; warmUp < 200; warmUp++) await (warmUp % 2 ? raw() : herald())
  const rawUs: number[] = []
  const heraldUs: number[] = []
  const ratios: number[] = []
  const warmUs: number[] = []
  const guestUs: number[] = []
  for (let round = 1; round <= rounds; round++) {
    const rawTimes: number[] = []
    const heraldTimes: number[] = []
    for (const endAt = performance.now() + secondsPerRound * 1000; performance.now() < endAt; ) {
      const rawFirst = Math.random() < 0.5
      if (rawFirst) rawTimes.push(await timeUs(raw))
      heraldTimes.push(await timeUs(herald))
      if (!rawFirst) rawTimes.push(await timeUs(raw))
      // The SPIRE server signs 500 JWTs a second for one agent: stay well below, so that its limit is not what is measured.
      await sleep(6)
    }
    rawUs.push(medianOf(rawTimes))
    heraldUs.push(medianOf(heraldTimes))
    ratios.push(medianOf(heraldTimes) / medianOf(rawTimes))
    warmUs.push(await warmGetUs(svids))
    guestUs.push(await guestGetUs(url))
    say(
      `round ${round}: cold ${heraldUs.at(-1)?.toFixed(0)} µs, raw ${rawUs.at(-1)?.toFixed(0)} µs (${rawTimes.length} calls each), warm ${guestUs.at(-1)?.toFixed(3)} µs from the guest, ${warmUs.at(-1)?.toFixed(3)} µs without`,
    )
  }
  rawClient.close()
  return [
    summarize('cold: raw grpc-js FetchJWTSVIDs, SPIRE agent 1.15.3', 'µs', rawUs),
    summarize('cold: SVID source, verified', 'µs', heraldUs),
    summarize('cold: SVID source over raw call', 'ratio', ratios, { comparison: '≤', value: 1.15 }),
    summarize('warm: store.get seen from a native guest (C)', 'µs', guestUs, { comparison: '≤', value: 2 }),
    summarize("warm: of that, the cell's half of the capability", 'µs', warmUs),
  ]
}

/** One warm `store.get`, policy and count of deliveries included, as the glue calls it. */
async function warmGetUs(svids: SvidSource): Promise<number> {
  await using capability = createIdentityCapability({ svids, clock, log, audit: () => {} })
  const config = { audiences: 'sts.amazonaws.com spiffe://example.org/ledger' }
  const entry = {
    namespace: 'wasmcloud',
    package: 'identity',
    version: '0.0.1',
    interfaces: ['store'],
    name: undefined,
    config,
  }
  const signal = AbortSignal.timeout(60_000)
  const binding = await capability.configure(component, [entry], { signal })
  const cell = openCapability(binding.config, {
    request: (method, payload, options) => binding.handle(method, payload, options),
    onMessage() {},
  })
  const store = cell.prepare({ signal })['wasmcloud:identity/store'] as { get(audience: string): unknown }
  await store.get('sts.amazonaws.com')
  const calls = 200_000
  const began = performance.now()
  for (let call = 0; call < calls; call++) {
    if (typeof store.get('sts.amazonaws.com') !== 'string') throw new Error('the token was not warm')
  }
  return ((performance.now() - began) * 1000) / calls
}

/** One `store.get` as the guest itself measures it, over many in a loop. */
async function guestGetUs(url: string): Promise<number> {
  const response = await fetch(`${url}/bench/get?n=100000`)
  if (response.status !== 200) throw new Error(`the guest answered ${response.status}: ${await response.text()}`)
  const { n, elapsedNs } = (await response.json()) as { n: number; elapsedNs: number }
  return elapsedNs / n / 1000
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
