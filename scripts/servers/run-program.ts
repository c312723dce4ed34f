import { spawn } from 'node:child_process'

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
  /** Called every 15 s while the program runs. */
  readonly onProgress?: (elapsedS: number) => void
}

/** How a program ended; `startError` when it could not be run at all. */
export interface RunResult {
  readonly exitCode: number | null
  readonly stdout: string
  /** stdout and stderr in the order they came, for error messages. */
  readonly output: string
  readonly elapsedS: number
  readonly startError?: NodeJS.ErrnoException
}

const progressEveryMs = 15_000

/** Runs a program to its end; never rejects for what the program does. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const startedAt = performance.now()
  const elapsedS = () => Math.round((performance.now() - startedAt) / 1000)
  return new Promise((resolve) => {
    let stdout = ''
    let output = ''
    const ticker = setInterval(() => options.onProgress?.(elapsedS()), progressEveryMs)
    const finish = (exitCode: number | null, startError?: NodeJS.ErrnoException) => {
      clearInterval(ticker)
      resolve({ exitCode, stdout, output, elapsedS: elapsedS(), ...(startError && { startError }) })
    }
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      signal: options.signal,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.once('error', (error) => finish(null, error))
    child.once('close', (exitCode) => finish(exitCode))
  })
}

/** The last lines of a program's output, indented, for the end of an error message. */
export function lastLines(output: string, count = 20): string {
  const lines = output.trimEnd().split('\n')
  return lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n')
}
