import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplyDeadlines } from '../../src/capabilities/keyvalue/reply-deadlines.ts'

test('what settles in time is passed on as it is', async () => {
  const deadlines = new ReplyDeadlines(60_000)
  assert.equal(await deadlines.within(Promise.resolve('value')), 'value')
  await assert.rejects(deadlines.within(Promise.reject(new Error('its own'))), /its own/)
})

test('each of many waits ends by itself when nothing comes, and the others go on', async () => {
  const deadlines = new ReplyDeadlines(20)
  // The deadlines' own timer keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  try {
    for (let round = 0; round < 3; round++) {
      const late = Promise.withResolvers<string>()
      const results = await Promise.allSettled([
        deadlines.within(late.promise),
        deadlines.within(Promise.resolve('in time')),
        deadlines.within(new Promise(() => {})),
      ])
      assert.deepEqual(
        results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.message)),
        ['no answer within 0.02 s', 'in time', 'no answer within 0.02 s'],
      )
      late.resolve('too late')
    }
  } finally {
    clearInterval(alive)
  }
})
