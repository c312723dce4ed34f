import { join } from 'node:path'
import { freePort } from '../test/support/free-port.ts'
import { urlAnswers } from '../test/support/reachable.ts'
import { type ServerProcess, startServerProcess } from '../test/support/server-process.ts'

/** `herald host` as a process of its own. Disposal kills it. */
export type HostProcess = AsyncDisposable & {
  /** Where HTTP and where probes and metrics are answered, on 127.0.0.1. */
  readonly port: number
  readonly healthPort: number
  readonly server: ServerProcess
  /** A metric's value, all its series together. */
  metric(name: string): Promise<number>
}

/** Resolves once it is ready. Started without bin/herald.js, so that its process is the host itself. */
export async function startHostProcess(name: string, args: readonly string[]): Promise<HostProcess> {
  const [port, healthPort] = [await freePort(), await freePort()]
  const main = join(import.meta.dirname, '..', 'src', 'cli', 'main.ts')
  const health = `http://127.0.0.1:${healthPort}`
  const server = await startServerProcess({
    name,
    program: process.execPath,
    args: [
      ...['--disable-warning=ExperimentalWarning', main, 'host', '--log-level', 'warn'],
      ...['--http', `127.0.0.1:${port}`, '--health', `127.0.0.1:${healthPort}`, ...args],
    ],
    isReady: (signal) => urlAnswers(`${health}/readyz`, signal),
  })
  return {
    port,
    healthPort,
    server,
    async metric(metricName) {
      const text = await (await fetch(`${health}/metrics`)).text()
      const lines = text
        .split('\n')
        .filter((line) => line.startsWith(`${metricName}{`) || line.startsWith(`${metricName} `))
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
