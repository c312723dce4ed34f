import { deepStrictEqual, strictEqual } from 'node:assert'
import { test } from 'node:test'
import { LineLimiter } from '../../src/wasi/line-output.ts'

test('beyond a thousand lines in a second lines are suppressed, and their number is told in the next second', () => {
  const lines: [string, string][] = []
  let now = 10_000
  const limiter = new LineLimiter(
    (stream, text) => lines.push([stream, text]),
    () => now,
  )
  for (let index = 0; index < 1_234; index++) limiter.line('stdout', `line ${index}`)
  strictEqual(lines.length, 1_000)
  now += 1_000
  limiter.line('stdout', 'next')
  deepStrictEqual(lines.slice(1_000), [
    ['stderr', '(234 lines suppressed: more than 1000 in a second)'],
    ['stdout', 'next'],
  ])
})
