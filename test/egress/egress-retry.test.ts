import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock/clock.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { log } from '../engine/engine-fixture.ts'
import { startHttpStandIn } from '../relying-parties/http-stand-in.ts'
import { openEgressHouse } from './egress-house.ts'

/** Answers 401 to the first `refused` tokens it ever sees, and to each of them again. */
async function startForgetfulApi(refused: number) {
  const tokens: string[] = []
  const bodies: string[] = []
  const { url, close } = await startHttpStandIn(async ({ headers, body }) => {
    const token = headers.authorization ?? ''
    if (!tokens.includes(token)) tokens.push(token)
    bodies.push(body.toString())
    const isRefused = tokens.indexOf(token) < refused
    return isRefused ? { status: 401, headers: {}, body: 'no' } : { status: 200, headers: {}, body: 'yes' }
  })
  return { url, bodies, tokens, [Symbol.asyncDispose]: close }
}

/** An authority that issues another token every second. */
async function openHouse(url: string) {
  const authority = await createDevelopmentAuthority({ log, clock: systemClock, inKubernetes: false })
  return openEgressHouse(authority, { api: { host: url, 'bearer-audience': 'https://api.example.com' } })
}

test('after a 401 the credential is evicted, and a request whose body is at hand is sent once more with another', async () => {
  await using api = await startForgetfulApi(1)
  await using house = await openHouse(api.url)
  const answer = await house.send({ method: 'POST', url: api.url, body: 'whole', bodyWritten: 'before' })
  assert.deepEqual([answer.status, answer.body], [200, 'yes'])
  assert.deepEqual(api.bodies, ['whole', 'whole'])
  assert.equal(api.tokens.length, 2)
  assert.deepEqual(
    house.events.map(({ kind }) => kind),
    ['exchanged', 'signed', 'rejected', 'evicted', 'exchanged', 'signed', 'evicted'],
  )
})

test('it is sent once more only: a second 401 is the guest’s answer', async () => {
  await using api = await startForgetfulApi(9)
  await using house = await openHouse(api.url)
  const answer = await house.send({ url: api.url })
  assert.deepEqual([answer.status, answer.body], [401, 'no'])
  assert.equal(api.bodies.length, 2)
})

test('a body that was streamed is not sent again', async () => {
  await using api = await startForgetfulApi(1)
  await using house = await openHouse(api.url)
  const answer = await house.send({ method: 'POST', url: api.url, body: '*200000', bodyWritten: 'after' })
  assert.equal(answer.status, 401)
  assert.equal(api.bodies.length, 1)
})
