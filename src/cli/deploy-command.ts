import { type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import { addLatticeCommandOptions, type LatticeCommandOptions } from './lattice-command.ts'
import { collect, parseCount, parseDurationMs } from './option-values.ts'

export type DeployCommandOptions = LatticeCommandOptions & {
  readonly file: readonly string[]
  readonly wait?: true
  readonly timeout: number
  readonly push?: string
  readonly pullSecrets?: string
  readonly plainHttpRegistry?: readonly string[]
}

export type DeleteOptions = LatticeCommandOptions & { readonly file?: readonly string[] }
export type ScaleOptions = LatticeCommandOptions & { readonly replicas: number }

export function addDeployCommands(program: Command, environment: CliEnvironment): void {
  const deploy = program
    .command('deploy')
    .summary('run workloads on the hosts of a lattice')
    .description(
      'Gives the workloads of manifests to hosts of the lattice, without an operator: any hosts that take work and match hostSelector and environment, spread by what they run. New replicas serve before old ones end, or after them where deployPolicy is Recreate; what is the same already stays. It places once: when a host goes, deploy again, or let the operator do it.',
    )
    .requiredOption('-f, --file <manifest>', 'a manifest of WorkloadDeployments or Workloads; repeatable', collect)
    .option(
      '--wait',
      'when no host fits yet, wait for one; when an image takes longer than a start may, go on asking (see --timeout)',
    )
    .addOption(
      new Option('--timeout <duration>', 'longest time --wait waits').argParser(parseDurationMs).default(300_000, '5m'),
    )
    .option(
      '--push <repository>',
      'push file:// images to this REGISTRY/NAME first, and deploy them by digest; without it they are refused, unless herald up on this machine takes them',
    )
    .option(
      '--pull-secrets <directory>',
      'what imagePullSecret names: NAME/.dockerconfigjson or NAME.json in this directory; the credentials are sent to the hosts that run it, as the operator does; without it hosts use their own',
    )
    .option(
      '--plain-http-registry <host>',
      'a registry, host[:port], spoken to without TLS; repeatable; loopback always is',
      collect,
    )
  addLatticeCommandOptions(deploy)
    .addHelpText(
      'after',
      `
Examples:
  herald deploy -f workload.yaml
  herald deploy -f workload.yaml --push ghcr.io/team/api --wait --nats nats://nats:4222

Exit codes: 0 all replicas run · 2 usage or manifest · 4 no host fits, or NATS is not reachable · 5 a host could not run it; what ran before goes on`,
    )
    .action(async (options: DeployCommandOptions) => (await import('./run-deploy.ts')).runDeploy(options, environment))

  const remove = program
    .command('delete')
    .summary('end workloads that were deployed')
    .description('Ends all replicas of workloads that herald deploy brought; requests in flight finish first.')
    .argument('[workload...]', 'NAME or NAMESPACE/NAME')
    .option('-f, --file <manifest>', 'the workloads of a manifest; repeatable', collect)
  addLatticeCommandOptions(remove).action(async (names: readonly string[], options: DeleteOptions) =>
    (await import('./run-deploy.ts')).runDelete(names, options, environment),
  )

  const scale = program
    .command('scale')
    .summary('change the number of replicas of a workload')
    .description(
      'Starts more replicas, as copies of one that runs, or ends some of the host that runs most. Hosts hand copies on to each other: what a workload was started with does not come to this machine.',
    )
    .argument('<workload>', 'NAME or NAMESPACE/NAME')
    .requiredOption('--replicas <number>', 'how many there are to be; 0 ends it', parseCount)
  addLatticeCommandOptions(scale).action(async (name: string, options: ScaleOptions) =>
    (await import('./run-deploy.ts')).runScale(name, options, environment),
  )
}
