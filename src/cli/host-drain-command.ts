import { type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { parseDurationMs } from './option-values.ts'

export type HostDrainOptions = LatticeCommandOptions & {
  readonly force?: true
  readonly timeout: number
}

export function addHostDrainCommand(host: Command, environment: CliEnvironment): void {
  const drain = host
    .command('drain')
    .summary('move what a host runs elsewhere, and let it end')
    .description(
      'Starts what herald deploy brought to a host on other hosts that fit, then tells the host to drain: it takes no new work, finishes what is in flight and exits with 0. What the operator placed there the operator places anew; what stands in a manifest file of that host ends with it.',
    )
    .argument('<host>', 'id, its first 8 characters, or friendly name')
    .option('--force', 'drain it even if some of its workloads fit on no other host; they end')
    .addOption(
      new Option('--timeout <duration>', 'how long to wait until it has left; it drains on after that')
        .argParser(parseDurationMs)
        .default(60_000, '1m'),
    )
  addLatticeCommandOptions(drain).action(async (name: string, options: HostDrainOptions) =>
    (await import('./run-host-drain.ts')).runHostDrain(name, options, environment),
  )
}
