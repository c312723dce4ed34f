import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export type WrkOptions = {
  readonly seconds: number
  /** Default: 32. */
  readonly connections?: number
  /** Each request posts 1 MiB (`post-1-mib.lua`). Default: GET. */
  readonly post?: boolean
  /** Each connection waits so long before each request, ms (`pause.lua`). Default: none, as many requests as are answered. */
  readonly pauseMs?: number
  /** Default: the address. */
  readonly hostName?: string
}

export type Load = {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p99Ms: number
  /** Answers that were not 2xx, and connections that were refused, broke or timed out. */
  readonly failed: number
}

/** Loads one server of this machine with wrk, one thread. */
export async function loadWithWrk(port: number, options: WrkOptions): Promise<Load> {
  const { seconds, connections = 32, post = false, pauseMs, hostName } = options
  const script = post ? 'post-1-mib.lua' : pauseMs === undefined ? undefined : 'pause.lua'
  const { stdout } = await execute(
    'wrk',
    [
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '--latency',
      // What takes longer has failed; by wrk's own limit of 2 s a busy machine would.
      ...['--timeout', '30s'],
      ...(script === undefined ? [] : ['-s', join(import.meta.dirname, script)]),
      ...(hostName === undefined ? [] : ['-H', `Host: ${hostName}`]),
      `http://127.0.0.1:${port}/`,
      ...(pauseMs === undefined ? [] : ['--', String(pauseMs)]),
    ],
    { maxBuffer: 2 ** 20 },
  )
  return readWrk(stdout)
}

/** What wrk prints with `--latency`. @throws Error when that is something else. */
export function readWrk(text: string): Load {
  const requests = /(\d+) requests in/.exec(text)
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text)
  const p99 = /99%\s+([\d.]+)(us|ms|s|m)/.exec(text)
  if (requests === null || rate === null || p99 === null) throw new Error(`wrk said what it never says:\n${text}`)
  const wrong = /Non-2xx or 3xx responses: (\d+)/.exec(text)
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  const unit = { us: 0.001, ms: 1, s: 1000, m: 60_000 }[p99[2]!] ?? Number.NaN
  return {
    requests: Number(requests[1]),
    requestsPerSecond: Number(rate[1]),
    p99Ms: Number(p99[1]) * unit,
    failed: [wrong?.[1], ...(broken?.slice(1) ?? [])].reduce((sum, count) => sum + Number(count ?? 0), 0),
  }
}
