import type { InstanceState } from './instance-state.ts'
import { EmptySource } from './io/byte-source.ts'
import { InputStream } from './io/input-stream.ts'
import { OutputStream } from './io/output-stream.ts'
import type { LineSink } from './line-output.ts'
import { GuestExit, type WasiOptions } from './wasi.ts'

/** `wasi:cli/terminal-input`: no guest has a terminal, so none is ever handed out. */
export class TerminalInput {}

/** `wasi:cli/terminal-output`: likewise. */
export class TerminalOutput {}

const noTerminal = (): undefined => undefined

/** The parts of `wasi:cli` that are the same for every instance of a component. */
export function cliOfComponent(options: WasiOptions): Record<string, object> {
  const environment = Object.entries(options.environment)
  const args = [...options.args]
  return {
    'wasi:cli/environment': {
      getEnvironment: () => environment,
      getArguments: () => args,
      // The preopens say what there is; none of them is special.
      initialCwd: () => undefined,
    },
    'wasi:cli/exit': {
      exit: (status: { tag: 'ok' | 'err' }) => {
        throw new GuestExit(status.tag === 'ok' ? 0 : 1)
      },
      exitWithCode: (code: number) => {
        throw new GuestExit(code)
      },
    },
    'wasi:cli/terminal-input': { TerminalInput },
    'wasi:cli/terminal-output': { TerminalOutput },
    'wasi:cli/terminal-stdin': { getTerminalStdin: noTerminal },
    'wasi:cli/terminal-stdout': { getTerminalStdout: noTerminal },
    'wasi:cli/terminal-stderr': { getTerminalStderr: noTerminal },
  }
}

/** Standard input is empty: a hosted guest has nobody to type. */
export const stdin = (instance: InstanceState): object => ({
  getStdin: () => new InputStream(instance, new EmptySource()),
})

export const stdout = (instance: InstanceState, sink: LineSink): object => ({
  getStdout: () => new OutputStream(instance, sink),
})

export const stderr = (instance: InstanceState, sink: LineSink): object => ({
  getStderr: () => new OutputStream(instance, sink),
})
