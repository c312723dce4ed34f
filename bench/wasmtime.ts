import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type ContenderProgram, startContender } from './contender.ts'
import { loadWithWrk } from './wrk.ts'

const execute = promisify(execFile)

export type Wasmtime = { readonly program: string; readonly version: string }

/** From HERALD_WASMTIME_BIN, else from PATH; `undefined` when there is none. */
export async function findWasmtime(environment: NodeJS.ProcessEnv): Promise<Wasmtime | undefined> {
  const program = environment.HERALD_WASMTIME_BIN || 'wasmtime'
  try {
    return { program, version: (await execute(program, ['--version'])).stdout.trim() }
  } catch {
    return undefined
  }
}

/** For WASI 0.2 `wasmtime serve` makes an instance for every request, unless told to use one for more: then for one request at a time. */
const reuse = ['--max-instance-reuse-count', '1000000000']
const pooling = ['-O', 'pooling-allocator']
/** What was written to is cleared instead of given back to the kernel. */
const resident = ['pooling-memory-keep-resident=1048576', 'pooling-table-keep-resident=65536'].flatMap((set) => [
  '-O',
  set,
])
/** Compared before the rounds begin; what a version does not know is left out, and said. */
const candidates = {
  'an instance per request': [[], pooling, [...pooling, ...resident]],
  'instances reused': [reuse, [...pooling, ...reuse]],
} as const

export type WasmtimeMode = keyof typeof candidates

export function wasmtimeProgram(
  { program }: Wasmtime,
  settings: readonly string[],
  threads: number,
  component: string,
): ContenderProgram {
  return {
    program,
    args: (port) => ['serve', ...settings, '--addr', `127.0.0.1:${port}`, component],
    // Of tokio's runtime; without it there is one for each core.
    env: { TOKIO_WORKER_THREADS: String(threads) },
  }
}

/** Of the settings for a mode those that serve most with all answers right. */
export async function bestSettings(
  wasmtime: Wasmtime,
  mode: WasmtimeMode,
  component: string,
  say: (line: string) => void,
): Promise<readonly string[] | undefined> {
  let best: { settings: readonly string[]; rate: number } | undefined
  for (const settings of candidates[mode]) {
    const name = `wasmtime serve ${settings.join(' ')}`.trim()
    try {
      await using contender = await startContender(name, wasmtimeProgram(wasmtime, settings, 1, component))
      await loadWithWrk(contender.port, { seconds: 1 })
      const { requestsPerSecond: rate, failed } = await loadWithWrk(contender.port, { seconds: 2 })
      say(`${name}: ${Math.round(rate)} requests/s${failed > 0 ? `, ${failed} wrong answers` : ''}`)
      if (failed === 0 && rate > (best?.rate ?? 0)) best = { settings, rate }
    } catch (error) {
      say(`${name}: ${error instanceof Error ? error.message.slice(0, 300) : error}`)
    }
  }
  return best?.settings
}
