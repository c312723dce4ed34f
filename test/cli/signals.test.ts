import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { type HeraldProcess, startHerald } from './herald-process.ts'

// bin/herald.js, started by the machine's Node, starts Node 26: two processes, of which a signal may reach one or both.
const file = (await buildComponents(['hello-c'])).get('hello-c') ?? ''
const stoppings = ({ stderr }: HeraldProcess): number => stderr.split('"event":"host.signal"').length - 1

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  for (const reach of ['bin/herald.js alone', 'the whole group'] as const) {
    test(`${signal} sent to ${reach} drains once, and ends with 0`, async () => {
      await using herald = startHerald(['dev', file, '--http', '0', '--output', 'json'])
      const { http } = await herald.event('ready')
      // In flight, so that a second signal would find it draining.
      const slow = fetch(String(http), { method: 'POST', body: neverEnding(), duplex: 'half' } as RequestInit).catch(
        () => undefined,
      )
      if (reach === 'the whole group') herald.signalGroup(signal)
      else herald.kill(signal)
      const { exitCode, stderr } = await herald.exited
      await slow
      assert.equal(exitCode, 0, stderr)
      assert.match(stderr, /"event":"host\.drained"/)
      assert.ok(stoppings(herald) <= 1)
    })
  }
}

function neverEnding(): ReadableStream {
  let timer: NodeJS.Timeout
  return new ReadableStream({
    start: (controller) => {
      controller.enqueue(Buffer.from('x'))
      timer = setTimeout(() => controller.close(), 300)
    },
    cancel: () => clearTimeout(timer),
  })
}
