import { type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { InterruptedError, listenForInterrupts } from './interrupts.ts'
import { type LatticeClient, type LatticeOptions, openLatticeClient } from './lattice-client.ts'
import { addLatticeOptions } from './nats-options.ts'
import type { OutputFormat } from './output.ts'

export type LatticeCommandOptions = LatticeOptions & { readonly output: OutputFormat }

/** Options of a command that asks the hosts of a lattice and prints what they say. */
export function addLatticeCommandOptions(command: Command): Command {
  addLatticeOptions(command)
  return command
    .addOption(
      new Option('-o, --output <format>', 'text for people, wide with more columns, json or yaml for programs')
        .choices(['text', 'wide', 'json', 'yaml'])
        .default('text'),
    )
    .option('--verbose', 'log the connection to NATS, and show the stack and the causes of an error')
}

/** Connects, runs, and closes. @throws InterruptedError after Ctrl-C, when all has been put in order */
export async function withLattice(
  options: LatticeOptions,
  environment: CliEnvironment,
  run: (client: LatticeClient, context: { signal: AbortSignal }) => Promise<void>,
): Promise<void> {
  using interrupts = listenForInterrupts(() => {})
  const { signal } = interrupts
  try {
    await using client = await openLatticeClient(options, environment, { signal })
    await run(client, { signal })
  } catch (error) {
    if (signal.aborted) throw new InterruptedError()
    throw error
  }
}
