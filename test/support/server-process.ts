import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeExit } from './before-exit.ts'
import { type Log, startLog } from './log.ts'

export interface ServerProcessOptions {
  /** Names the server in errors and logs. */
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly cwd?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Where the output goes; default: a new log. */
  readonly log?: Log
  /** Asked every 25 ms until it answers true; a throw means "not yet", and its message is in the error if that never changes. */
  readonly isReady: (signal: AbortSignal) => Promise<boolean>
  /** Default 60 000. */
  readonly readyTimeoutMs?: number
}

/** A server that runs as a process of its own. Disposal kills it and waits for its end. */
export interface ServerProcess extends AsyncDisposable {
  readonly pid: number
  readonly log: Log
  /** How it ended: undefined while it runs. */
  exit(): { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined
  /** SIGTERM, and SIGKILL when it is still there after 10 s; resolves once it has ended. */
  stop(): Promise<void>
  /** SIGKILL; resolves once it has ended. */
  kill(): Promise<void>
}

const parentDeathWrapper = '/usr/bin/setpriv'

/**
 * Starts a server and resolves once it is ready. It dies with this process, however this process ends (on Linux even by SIGKILL),
 * and does not keep this process alive: a test that fails before it disposes of its server ends all the same.
 * @throws if it ends before or does not become ready in time; the message has the end of its log.
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const log = options.log ?? startLog(options.name)
  const logBefore = log.text().length
  const wrapped = process.platform === 'linux' && existsSync(parentDeathWrapper)
  const child = spawn(
    wrapped ? parentDeathWrapper : options.program,
    wrapped ? ['--pdeathsig', 'KILL', options.program, ...options.args] : options.args,
    { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let startError: Error | undefined
  child.once('error', (error) => {
    startError = error
  })
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => log.append(text))
  const forget = beforeExit(() => child.kill('SIGKILL'))
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      forget()
      resolve()
    })
  })
  const server = describe(child, log, ended)
  keepsProcessAlive(child, false)

  const timeoutMs = options.readyTimeoutMs ?? 60_000
  const deadline = AbortSignal.timeout(timeoutMs)
  let lastReason = ''
  const fail = async (what: string): Promise<never> => {
    await server.kill()
    const reason = lastReason ? ` Last check: ${lastReason}.` : ''
    const tail = log.text().slice(logBefore).trimEnd().split('\n').slice(-30).join('\n')
    throw new Error(`the server '${options.name}' ${what}.${reason} Its log ended with:\n${tail || '(nothing)'}`)
  }
  while (true) {
    if (startError !== undefined) await fail(`could not be started: ${startError.message}`)
    const exit = server.exit()
    if (exit !== undefined) await fail(`ended before it was ready (${exit.signal ?? `exit code ${exit.code}`})`)
    if (deadline.aborted) await fail(`was not ready after ${timeoutMs / 1000} s`)
    try {
      if (await options.isReady(deadline)) return server
    } catch (error) {
      lastReason = error instanceof Error ? describeError(error) : String(error)
    }
    await sleep(25)
  }
}

function describe(child: ChildProcess, log: Log, ended: Promise<void>): ServerProcess {
  const exit = () =>
    child.exitCode === null && child.signalCode === null
      ? undefined
      : { code: child.exitCode, signal: child.signalCode }
  const end = async (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return
    keepsProcessAlive(child, true)
    child.kill(signal)
    await ended
  }
  return {
    pid: child.pid ?? -1,
    log,
    exit,
    async stop() {
      const force = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await end('SIGTERM').finally(() => clearTimeout(force))
    },
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGKILL'),
  }
}

function keepsProcessAlive(child: ChildProcess, yes: boolean): void {
  for (const handle of [child, child.stdout as Socket | null, child.stderr as Socket | null]) {
    if (yes) handle?.ref()
    else handle?.unref()
  }
}

function describeError(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
