import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { startLog } from '../support/log.ts'

const root = join(import.meta.dirname, '..', '..')

export type HeraldRun = { readonly exitCode: number; readonly stdout: string; readonly stderr: string }

export type HeraldOptions = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** The Node that starts bin/herald.js. Default: {@link systemNode}. */
  readonly node?: string
}

/** The first `node` of the path that is not the one npm installed: older where the machine's own is older. */
export function systemNode(): string {
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => !directory.includes('node_modules'))
    .map((directory) => join(directory, 'node'))
    .find((path) => existsSync(path))
  return found ?? process.execPath
}

/** A running `herald`, started as a user starts it: bin/herald.js in a process group of its own, as a terminal makes one. */
export interface HeraldProcess extends AsyncDisposable {
  readonly pid: number | undefined
  readonly stdout: string
  readonly stderr: string
  readonly exited: Promise<HeraldRun>
  /** What Ctrl-C does: SIGINT to the whole group. */
  interrupt(): void
  /** What a service manager does: a signal to all its processes. */
  signalGroup(signal: NodeJS.Signals): void
  kill(signal: NodeJS.Signals): void
  /** The first line of standard output that is JSON with this `event`; rejects when the process ends before. */
  event(name: string): Promise<Record<string, unknown>>
}

export function startHerald(
  args: readonly string[],
  { cwd = root, env = {}, node = systemNode() }: HeraldOptions = {},
): HeraldProcess {
  const child: ChildProcess = spawn(node, [join(root, 'bin', 'herald.js'), ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const log = startLog('herald')
  let stdout = ''
  let stderr = ''
  let onOutput: () => void = () => {}
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text
    onOutput()
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text
    log.append(text)
  })
  const exited = new Promise<HeraldRun>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ exitCode: code ?? -1, stdout, stderr }))
  })
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, signal)
  }
  return {
    pid: child.pid,
    get stdout() {
      return stdout
    },
    get stderr() {
      return stderr
    },
    exited,
    interrupt: () => signalGroup('SIGINT'),
    signalGroup,
    kill: (signal) => void child.kill(signal),
    async event(name) {
      const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>()
      const look = (): void => {
        for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
          const record = tryParse(line)
          if (record?.event === name) resolve(record)
        }
      }
      onOutput = look
      look()
      void exited.then((run) =>
        reject(new Error(`herald ended (${run.exitCode}) before ${name}: ${run.stderr}${run.stdout}`)),
      )
      return promise
    },
    async [Symbol.asyncDispose]() {
      signalGroup('SIGKILL')
      await exited
    },
  }
}

export async function runHerald(args: readonly string[], options: HeraldOptions = {}): Promise<HeraldRun> {
  await using herald = startHerald(args, options)
  return await herald.exited
}

function tryParse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Variables that have a command keep all that it keeps in a directory of the test. */
export function directoriesIn(directory: string) {
  return {
    XDG_CONFIG_HOME: join(directory, 'config'),
    XDG_CACHE_HOME: join(directory, 'cache'),
    XDG_DATA_HOME: join(directory, 'data'),
    XDG_RUNTIME_DIR: directory,
  }
}
