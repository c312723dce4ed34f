import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Cell, Engine } from '../../src/engine/engine.ts'
import { createLog } from '../../src/observability/log.ts'
import { cellSpec, component, serve, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent, watComponent } from './guests/build-guest.ts'

async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 30_000
  while (!condition()) {
    assert.ok(performance.now() < giveUpMs, `${what}: not within 30 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const stateOf = (pid: number | string) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
  } catch {
    return undefined
  }
}
/** A zombie is gone, but for its parent's asking. */
const alive = (pid: number) => !['Z', undefined].includes(stateOf(pid)?.[0])
const childrenOf = (parent: number) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && stateOf(name)?.[1] === String(parent))
    .map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('child-main'))

describe('cells in processes of their own', () => {
  let engine: Engine
  let bytes: Uint8Array
  const started: { workload: string; pid: number }[] = []
  const destination = {
    write(line: string) {
      const { event, workload, pid } = JSON.parse(line)
      if (event === 'cell.process_started') started.push({ workload, pid })
    },
  }
  const pidOf = (name: string) => started.findLast(({ workload }) => workload === name)!.pid
  const start = (name: string, ...components: Parameters<typeof cellSpec>) =>
    engine.startCell({ ...cellSpec(...components), name }, { signal: signal() })

  before(async () => {
    bytes = await faultsComponent()
    engine = testEngine({ isolation: 'process', log: createLog({ level: 'info', destination }) })
  })
  after(() => engine[Symbol.asyncDispose]())

  test('have no environment and no descriptor of the host, and go first when memory runs out', async () => {
    await using _cell = await start('bare', component(bytes))
    const pid = pidOf('bare')
    assert.notEqual(pid, process.pid)
    assert.equal(stateOf(pid)?.[1], String(process.pid))
    assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8'), '')
    assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim(), '1000')
    for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
      const target = linkOf(`/proc/${pid}/fd/${descriptor}`)
      // Closed in the meantime.
      if (target === '') continue
      assert.match(target, /^(\/dev\/null|anon_inode:.*|pipe:.*|socket:.*)$/, `descriptor ${descriptor}`)
      // What is inherited lies where the host put it: three pipes, as sockets. What is behind a number above is the process's own.
      if (/^(socket|pipe):/.test(target) && Number(descriptor) > 3) {
        const ours = readdirSync('/proc/self/fd').map((own) => linkOf(`/proc/self/fd/${own}`))
        assert.ok(!ours.includes(target), `descriptor ${descriptor}`)
      }
    }
  })

  test('lose their process by SIGKILL under load: 503 with a reason, another process, and nothing for a neighbour', async () => {
    await using victim = await start('victim', component(bytes))
    await using neighbour = await start('neighbour', component(bytes))
    await using victimIngress = await serve(victim)
    await using neighbourIngress = await serve(neighbour)
    let stop = false
    let served = 0
    const reasons = new Set<string>()
    const load = Array.from({ length: 4 }, async () => {
      while (!stop) {
        assert.equal(await (await fetch(`${neighbourIngress.url}/fine`)).text(), '/fine')
        served += 1
      }
    })
    const victims = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const answer = await fetch(`${victimIngress.url}/sleep-a-little`)
        if (answer.status === 503) reasons.add(((await answer.json()) as { error: { reason: string } }).error.reason)
        else await answer.text()
      }
    })
    for (let round = 1; round <= 2; round++) {
      const pid = pidOf('victim')
      const before = served
      await until(() => served > before + 20 && victim.metrics().inFlight > 0, 'there is load')
      process.kill(pid, 'SIGKILL')
      await until(() => pidOf('victim') !== pid && victim.state.kind === 'serving', 'there is another process')
      assert.equal(victim.metrics().restarts, round)
      assert.equal(await (await fetch(`${victimIngress.url}/again`)).text(), '/again')
    }
    stop = true
    await Promise.all([...load, ...victims])
    assert.ok(
      [...reasons].some((reason) => /killed \(SIGKILL\)/.test(reason)),
      [...reasons].join('; '),
    )
    assert.equal(neighbour.metrics().failures, 0)
    assert.equal(neighbour.metrics().restarts, 0)
  })

  test('are stopped by whoever can send signals: one that does not answer is ended, and its requests are answered', async () => {
    await using cell = await start('stopped', component(bytes))
    await using ingress = await serve(cell)
    assert.equal(await (await fetch(ingress.url)).text(), '/')
    process.kill(pidOf('stopped'), 'SIGSTOP')
    const answer = await fetch(ingress.url)
    assert.equal(answer.status, 503)
    assert.match(await answer.text(), /did not (answer|yield)/)
    await until(() => cell.state.kind === 'serving', 'it serves again')
    assert.equal(await (await fetch(ingress.url)).text(), '/')
  })

  test('hold a slow client back, take large bodies both ways, and hear when a client goes away', async () => {
    await using cell = await start('echo', component(bytes, { maxBodyBytes: 64 * 1024 * 1024 }))
    await using ingress = await serve(cell)
    const answer = await fetch(`${ingress.url}/echo`, { method: 'POST', body: Buffer.alloc(4 * 1024 * 1024, 'x') })
    assert.equal(answer.status, 200)
    await answer.arrayBuffer()
    const controller = new AbortController()
    const gone = fetch(`${ingress.url}/sleep`, { signal: controller.signal })
    await until(() => cell.metrics().inFlight === 1, 'the request is in flight')
    controller.abort()
    await assert.rejects(gone)
    await until(() => cell.metrics().inFlight === 0, 'the guest was ended')
  })

  test('say why they cannot start', async () => {
    const trapping = await watComponent(
      '(module (func $start unreachable) (start $start) (func (export "wasi:cli/run@0.2.0#run") (result i32) unreachable))',
      'package test:guest; package wasi:cli@0.2.0 { interface run { run: func() -> result; } } world guest { export wasi:cli/run@0.2.0; }',
      'guest',
    )
    await using cell = await start('trapping', component(trapping))
    await assert.rejects(cell.run('guest', { signal: signal() }), /unreachable/)
  })

  test('that are granted nothing may do nothing, and what they were granted they may', async () => {
    const preopen = mkdtempSync(join(tmpdir(), 'herald-isolated-'))
    try {
      const outcomes = await intrude({})
      assert.deepEqual(outcomes, {
        read: 'ERR_ACCESS_DENIED',
        write: 'ERR_ACCESS_DENIED',
        spawn: 'ERR_ACCESS_DENIED',
        worker: 'ERR_ACCESS_DENIED',
        addon: 'ERR_DLOPEN_DISABLED',
        environment: 'done',
        net: 'ERR_ACCESS_DENIED',
        ...Object.fromEntries(
          ['fs.read', 'fs.write', 'child', 'worker', 'net', 'addon', 'wasi', 'inspector'].map((scope) => [
            `has ${scope}`,
            'false',
          ]),
        ),
      })
      const granted = await intrude({ preopen })
      assert.equal(granted.preopen, 'done')
      assert.equal(readFileSync(join(preopen, 'made'), 'utf8'), 'by the cell')
      assert.equal(statSync(join(preopen, 'made')).mtimeMs, 1_000)
      assert.equal(granted.net, 'ECONNREFUSED')
      assert.equal(granted.write, 'ERR_ACCESS_DENIED')
      assert.equal(granted.read, 'ERR_ACCESS_DENIED')
      assert.equal(granted.spawn, 'ERR_ACCESS_DENIED')
    } finally {
      rmSync(preopen, { recursive: true, force: true })
    }
  })

  for (const [garbage, reason] of [
    ['pipe', /sent a message of \d+ bytes/],
    ['crash', /its process crashed \(SIG(SEGV|ABRT|BUS)\)/],
  ] as const) {
    test(`are ended when they break out and ${garbage === 'pipe' ? 'write to the pipe' : 'crash'}; the host goes on`, async () => {
      const reasons: string[] = []
      await intrude({ garbage }, (cell) =>
        until(
          () => {
            if (cell.state.kind === 'restarting' || cell.state.kind === 'failed') reasons.push(cell.state.reason)
            return reasons.some((each) => reason.test(each))
          },
          `the cell ended: ${reasons.join('; ')}`,
        ),
      )
    })
  }

  async function intrude(
    config: { preopen?: string; garbage?: 'pipe' | 'crash' },
    then: (cell: Cell) => Promise<void> = async () => {},
  ): Promise<Record<string, string>> {
    const told = Promise.withResolvers<Record<string, string>>()
    const { preopen } = config
    const intruded = component(
      bytes,
      {},
      {
        bindings: [
          {
            cellModule: new URL('./capabilities/intruder-cell.ts', import.meta.url),
            config,
            handle: async (_method, payload) => told.resolve(payload as Record<string, string>),
            attach: () => {},
            release: () => {},
          },
        ],
        ...(preopen !== undefined && {
          preopens: [{ hostPath: preopen, guestPath: '/data', readOnly: false }],
          allowedHosts: ['http://127.0.0.1:9'],
        }),
      },
    )
    await using cell = await start('intruder', intruded)
    const outcomes = await told.promise
    await then(cell)
    return outcomes
  }
})

test('processes end with their engine, the spare one too', async () => {
  await using other = testEngine({ isolation: 'process' })
  const before = new Set(childrenOf(process.pid))
  await other.startCell(cellSpec(component(await faultsComponent())), { signal: signal() })
  await until(() => childrenOf(process.pid).filter((pid) => !before.has(pid)).length === 2, 'a spare one is there')
  const made = childrenOf(process.pid).filter((pid) => !before.has(pid))
  await other[Symbol.asyncDispose]()
  assert.deepEqual(made.filter(alive), [])
})

test('a host that is killed leaves no process behind, not even one whose guest loops', async () => {
  const host = fork(new URL('./guests/host-of-a-process.ts', import.meta.url), { stdio: 'ignore', execArgv: [] })
  try {
    await once(host, 'message')
    const pids = childrenOf(host.pid!)
    assert.ok(pids.length >= 1)
    host.kill('SIGKILL')
    await once(host, 'exit')
    await until(() => !pids.some(alive), 'they are gone')
  } finally {
    host.kill('SIGKILL')
  }
})

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
