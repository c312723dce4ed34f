import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { IdleHostAnswer } from './idle-host.ts'
import { type BenchRun, summarize } from './result.ts'

const workloads = 1_000
const hello = join(import.meta.dirname, '..', 'components', 'hello-c', 'build', 'hello-c.wasm')
/** What the component answers; replaced by a text of the same length, so that no two components are the same. */
const answer = 'hello\n'
const mebibyte = 1024 * 1024

/** 1,000 native components, no two alike, on one host: what they keep in memory, and what a request costs that wakes one. */
export const run: BenchRun = async ({ say }) => {
  const directory = await mkdtemp(join(tmpdir(), 'herald-idle-'))
  try {
    const original = await readFile(hello)
    const at = original.indexOf(answer)
    const names = Array.from({ length: workloads }, (_, index) => `h${String(index).padStart(4, '0')}`)
    for (const name of names) {
      const bytes = Buffer.from(original)
      bytes.write(`${name}\n`, at)
      await writeFile(join(directory, `${name}.wasm`), bytes)
    }
    const cold = await measure(names, directory, say)
    // The same host started again, its components in the artifact cache.
    const cached = await measure(names, directory, say)
    const goal = { comparison: '≤' as const, value: 2048 }
    const resident = (measures: readonly Measured[]) => measures.map(({ residentMiB }) => residentMiB)
    return [
      summarize(`resident, ${workloads} idle components, first deployed`, 'MiB', resident([cold]), goal),
      summarize(`resident, ${workloads} idle components, host started anew`, 'MiB', resident([cached]), goal),
      summarize(`resident after each was asked once`, 'MiB', [cold.afterwardsMiB, cached.afterwardsMiB], goal),
      summarize('resident without any', 'MiB', [cold.emptyMiB, cached.emptyMiB]),
      summarize('threads', 'threads', [cold.threads, cached.threads]),
      summarize('deploy, first time', 'ms each', [cold.deployMs / workloads]),
      summarize('deploy, artifact cached', 'ms each', [cached.deployMs / workloads]),
      summarize('request that wakes its workload', 'ms', [...cold.wakeMs, ...cached.wakeMs]),
      summarize('request to one that is awake', 'ms', [...cold.awakeMs, ...cached.awakeMs]),
      summarize('CPU while idle', '% of a core', [cold.idleCpu, cached.idleCpu]),
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

type Measured = {
  readonly emptyMiB: number
  readonly residentMiB: number
  readonly afterwardsMiB: number
  readonly threads: number
  readonly deployMs: number
  readonly wakeMs: readonly number[]
  readonly awakeMs: readonly number[]
  readonly idleCpu: number
}

async function measure(names: readonly string[], directory: string, say: (line: string) => void): Promise<Measured> {
  const host = fork(join(import.meta.dirname, 'idle-host.ts'), [join(directory, 'cache'), directory], {
    execPath: process.execPath,
  })
  try {
    const { url = '', residentBytes: emptyBytes } = await answerOf(host)
    const from = performance.now()
    for (let index = 0; index < names.length; index += 100) {
      host.send({ deploy: names.slice(index, index + 100) })
      const { running, parked, residentBytes, threads } = await answerOf(host)
      say(`${running} running, ${parked} parked, ${threads} threads, ${Math.round(residentBytes / mebibyte)} MiB`)
    }
    const deployMs = performance.now() - from
    // The compile worker ends after 30 s without work.
    const settled = await afterwards(host, say)
    const quiet = await reading(host)
    await sleep(10_000)
    const idleCpu = ((await reading(host)).cpuMs - quiet.cpuMs) / 100
    const wakeMs: number[] = []
    const awakeMs: number[] = []
    for (const name of names) {
      // The last ones deployed are awake still.
      const took = await ask(url, name)
      if (names.indexOf(name) < names.length - 100) wakeMs.push(took)
      awakeMs.push(await ask(url, name))
    }
    const after = await afterwards(host, say)
    return {
      emptyMiB: emptyBytes / mebibyte,
      residentMiB: settled.residentBytes / mebibyte,
      afterwardsMiB: after.residentBytes / mebibyte,
      threads: settled.threads,
      ...{ deployMs, wakeMs, awakeMs, idleCpu },
    }
  } finally {
    host.kill('SIGKILL')
  }
}

async function afterwards(host: ChildProcess, say: (line: string) => void): Promise<IdleHostAnswer> {
  await sleep(35_000)
  const now = await reading(host)
  say(`${now.parked} parked, ${now.threads} threads, ${Math.round(now.residentBytes / mebibyte)} MiB`)
  return now
}

async function reading(host: ChildProcess): Promise<IdleHostAnswer> {
  host.send({})
  return answerOf(host)
}

function answerOf(host: ChildProcess): Promise<IdleHostAnswer> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('the host ended'))
    host.once('exit', onExit)
    host.once('message', (message) => {
      host.off('exit', onExit)
      resolve(message as IdleHostAnswer)
    })
  })
}

/** @returns ms from the request to the end of its answer */
function ask(url: string, name: string): Promise<number> {
  const from = performance.now()
  return new Promise((resolve, reject) => {
    request(url, { headers: { host: `${name}.test` } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => {
        if (response.statusCode === 200 && text === `${name}\n`) resolve(performance.now() - from)
        else reject(new Error(`${name}: ${response.statusCode} ${text}`))
      })
    })
      .on('error', reject)
      .end()
  })
}
