import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert'
import { test } from 'node:test'
import { GuestExit } from '../../src/wasi/wasi.ts'
import { Guest } from './guest.ts'

const timers = `const clock = wasi['wasi:clocks/monotonic-clock'];`

test('a guest sees the environment and arguments it was given and nothing else', async () => {
  using guest = await Guest.open({ environment: { KEY: 'värde', EMPTY: '' }, args: ['app', '--x'] })
  const seen = await guest.call(`const env = wasi['wasi:cli/environment']
    return [env.getEnvironment(), env.getArguments(), env.initialCwd() ?? null]`)
  deepStrictEqual(seen, [
    [
      ['KEY', 'värde'],
      ['EMPTY', ''],
    ],
    ['app', '--x'],
    null,
  ])
})

test('exit ends the guest with its code and leaves the process alone', async () => {
  for (const [status, code] of [
    ['ok', 0],
    ['err', 1],
  ] as const) {
    using guest = await Guest.open()
    await rejects(
      guest.call(`wasi['wasi:cli/exit'].exit({ tag: '${status}' })`),
      (error) => error instanceof GuestExit && error.exitCode === code,
    )
  }
})

test('a timer blocks the guest while the event loop goes on', async () => {
  using guest = await Guest.open()
  let ticks = 0
  const interval = setInterval(() => ticks++, 5)
  const elapsed = await guest.call(`${timers}
    const before = clock.now(); clock.subscribeDuration(60_000_000n).block(); return clock.now() - before`)
  clearInterval(interval)
  ok(Number(elapsed) >= 60e6, `${elapsed} ns`)
  // A loop that was blocked has not ticked at all; how often it does otherwise is the machine's business.
  ok(ticks >= 1, `${ticks} ticks`)
})

test('poll answers with every pollable that is ready and waits for the first', async () => {
  using guest = await Guest.open()
  const answer = await guest.call(`${timers}
    const { poll } = wasi['wasi:io/poll']
    const late = clock.subscribeDuration(10_000_000_000n), soon = clock.subscribeDuration(20_000_000n), past = clock.subscribeInstant(0n)
    return [poll([late, past, past]), poll([late, soon]), late.ready(), soon.ready()].map((item) => typeof item === 'boolean' ? item : Array.from(item))`)
  deepStrictEqual(answer, [[1, 2], [1], false, true])
})

test('polling nothing traps', async () => {
  using guest = await Guest.open()
  await rejects(guest.call(`wasi['wasi:io/poll'].poll([])`), /the list of pollables is empty/)
})

test('a guest that only ever finds ready pollables lets others have their turn', async () => {
  using guest = await Guest.open()
  let turned = false
  setImmediate(() => {
    turned = true
  })
  await guest.call(`${timers} const past = clock.subscribeInstant(0n); for (let i = 0; i < 300; i++) past.block()`)
  strictEqual(turned, true)
})

for (const [what, script] of [
  ['pollable.block', `${timers} clock.subscribeDuration(9_000_000_000n).block()`],
  ['poll', `${timers} wasi['wasi:io/poll'].poll([clock.subscribeDuration(9_000_000_000n)])`],
  ['a loop of block', `${timers} const p = clock.subscribeDuration(9_000_000_000n); for (;;) p.block()`],
  ['a loop over short timers', `${timers} for (;;) clock.subscribeDuration(1_000_000n).block()`],
  ['a loop over ready pollables', `${timers} const p = clock.subscribeInstant(0n); for (;;) p.block()`],
  [
    'a loop of blocking writes',
    `const out = wasi['wasi:cli/stdout'].getStdout(); for (;;) out.blockingWriteAndFlush(bytes('x'))`,
  ],
] as const) {
  test(`ending the instance unwinds a guest in ${what}`, { timeout: 60_000 }, async () => {
    using guest = await Guest.open()
    const reason = new Error('the deadline has passed')
    setTimeout(() => guest.abort(reason), 30)
    await rejects(guest.call(script), (error) => error === reason || (error instanceof Error && error.cause === reason))
  })
}

test('disposing of the instance does the same, and later calls trap', async () => {
  const guest = await Guest.open()
  const waiting = guest.call(`${timers} clock.subscribeDuration(9_000_000_000n).block()`)
  guest[Symbol.dispose]()
  await rejects(waiting, /the instance was discarded/)
})

test('standard output is cut into lines, long ones at 16 KiB, control characters are made harmless', async () => {
  const guest = await Guest.open()
  await guest.call(`
    const out = wasi['wasi:cli/stdout'].getStdout(), err = wasi['wasi:cli/stderr'].getStderr()
    const write = (stream, data) => stream.blockingWriteAndFlush(bytes(data))
    write(out, 'one\\ntw'); write(err, 'bad\\u001b[31m\\n'); write(out, 'o\\r\\n\\nü\\tx\\n'); write(out, 'y'.repeat(20_000) + '\\nrest')`)
  guest[Symbol.dispose]()
  deepStrictEqual(guest.lines, [
    ['stdout', 'one'],
    ['stderr', 'bad\ufffd[31m'],
    ['stdout', 'two'],
    ['stdout', ''],
    ['stdout', 'ü\tx'],
    ['stdout', 'y'.repeat(16_384)],
    ['stdout', 'y'.repeat(20_000 - 16_384)],
    ['stdout', 'rest'],
  ])
})

test('standard input is at its end', async () => {
  using guest = await Guest.open()
  const answer = await guest.call(`const input = wasi['wasi:cli/stdin'].getStdin()
    return [caught(() => input.read(1n)), caught(() => input.blockingRead(1n)), caught(() => input.skip(1n)), input.subscribe().ready()]`)
  deepStrictEqual(answer, [...new Array(3).fill({ error: { tag: 'closed' } }), true])
})

test('writing more than check-write permitted traps', async () => {
  using guest = await Guest.open()
  await rejects(
    guest.call(`wasi['wasi:cli/stdout'].getStdout().write(bytes('unasked'))`),
    /more was written than check-write had permitted/,
  )
})

test('clocks go forward, the wall clock is the time, random bytes are random and as many as asked for', async () => {
  using guest = await Guest.open()
  const [forward, seconds, one, two, none, pair] = (await guest.call(`
    const clock = wasi['wasi:clocks/monotonic-clock'], random = wasi['wasi:random/random']
    return [clock.now() <= clock.now(), wasi['wasi:clocks/wall-clock'].now().seconds, random.getRandomBytes(16n), random.getRandomBytes(16n),
      wasi['wasi:random/insecure'].getInsecureRandomBytes(0n).length, typeof wasi['wasi:random/insecure-seed'].insecureSeed()[0]]`)) as [
    boolean,
    number,
    number[],
    number[],
    number,
    string,
  ]
  strictEqual(forward, true)
  ok(Math.abs(seconds - Date.now() / 1000) < 5)
  strictEqual(one.length, 16)
  match(String(one), /,/)
  ok(String(one) !== String(two))
  deepStrictEqual([none, pair], [0, 'bigint'])
})
