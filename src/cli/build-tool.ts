import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { HeraldError } from '../errors/herald-error.ts'
import { readBuildEnvironment } from './environment.ts'

const run = promisify(execFile)

export type ToolOptions = {
  readonly cwd: string
  readonly signal: AbortSignal
  /** What to do when it is not there. */
  readonly install: string
  /** Beside the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs a compiler. @throws ERR_BUILD_TOOL_MISSING, ERR_BUILD_FAILED with what it said */
export async function runTool(
  program: string,
  args: readonly string[],
  { cwd, signal, install, environment }: ToolOptions,
): Promise<void> {
  const env = environment === undefined ? {} : { env: { ...readBuildEnvironment(), ...environment } }
  await run(program, args, { cwd, signal, maxBuffer: 64 * 2 ** 20, ...env }).catch(
    (cause: { code?: unknown; stderr?: string; stdout?: string }) => {
      signal.throwIfAborted()
      if (cause.code === 'ENOENT') {
        throw new HeraldError('ERR_BUILD_TOOL_MISSING', `${program} is not on the PATH`, { hint: install, cause })
      }
      throw buildFailed(`${program} failed`, cause.stderr || cause.stdout || String(cause), cause)
    },
  )
}

/** The compiler's own words, the last lines of them. */
export function buildFailed(what: string, said: string, cause: unknown): HeraldError {
  const lines = said.trim().split('\n')
  return new HeraldError('ERR_BUILD_FAILED', `${what}:\n${lines.slice(-40).join('\n')}`, { cause })
}
