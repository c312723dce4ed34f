import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HeraldError } from '../../src/errors/herald-error.ts'
import { chooseJwtSvid } from '../../src/identity/svid-choice.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { createLog } from '../../src/observability/log.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { componentFacts } from './component-facts-sample.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { StandInAuthority } from './stand-in-authority.ts'

const signal = new AbortController().signal
const ids = Array.from({ length: 10_000 }, (_, index) => `spiffe://example.org/many/${String(index).padStart(5, '0')}`)

/** Of the right form only: nothing here gets as far as a signature. */
const tokenOf = (sub: string): string => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'ES256', kid: 'k' })}.${part({ sub, aud: ['a'], exp: 4_000_000_000 })}.AAAA`
}

test('of ten thousand entries that match, the configured one is chosen, and without one the refusal stays short', () => {
  const issued = ids.map((id) => ({ token: tokenOf(id), hint: undefined }))
  assert.equal(chooseJwtSvid(issued, parseSpiffeId(ids[7_777]!)).spiffeId, ids[7_777])
  for (const configured of [undefined, parseSpiffeId('spiffe://example.org/other')]) {
    assert.throws(
      () => chooseJwtSvid(issued, configured),
      ({ message }: HeraldError) => message.includes('and 9992 more') && message.length < 1_000,
    )
  }
})

test('an agent that shows ten thousand SPIFFE IDs for one component makes neither a long log nor a long answer', async () => {
  const clock = new FakeClock(1_800_000_000_000)
  const authority = await StandInAuthority.create(clock)
  const lines: string[] = []
  const log = createLog({ level: 'trace', destination: { write: (line) => lines.push(line) } })
  await using source = createSvidSource({ authority, clock, log, random: () => 0.5 })
  const undecided = source.open(componentFacts())
  const asked = undecided.fetchSubject({ signal })
  await settle()
  authority.entitle(...ids)
  await assert.rejects(
    asked,
    ({ code, message }: HeraldError) => code === 'ERR_SVID_AMBIGUOUS' && message.length < 1_000,
  )
  const decided = source.open(componentFacts(), { spiffeId: parseSpiffeId(ids[42]!) })
  const subject = decided.fetchSubject({ signal })
  await settle()
  authority.entitle(...ids)
  assert.equal(await subject, ids[42])
  assert.ok(lines.join('').length < 10_000)
})
