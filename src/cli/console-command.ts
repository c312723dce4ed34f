import { type Command, Option } from 'commander'
import type { CliEnvironment } from './environment.ts'
import type { LatticeOptions } from './lattice-client.ts'
import { addLatticeOptions } from './nats-options.ts'
import { collect, type ListenAddress, parseListenAddress } from './option-values.ts'

type ConsoleCommandOptions = LatticeOptions & {
  readonly listen: ListenAddress
  readonly hostName?: readonly string[]
  readonly output: 'text' | 'json'
}

export function addConsoleCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('console')
    .summary('show the hosts of a lattice in a browser')
    .description(
      'Serves a web page with the hosts, workloads and components of a lattice, live, until Ctrl-C. It can change nothing, and asks nobody who they are: whoever reaches the address reads the page.',
    )
    .addOption(
      new Option('--listen <address:port>', 'where to serve it')
        .argParser(parseListenAddress)
        .default({ host: '127.0.0.1', port: 8090 }, '127.0.0.1:8090'),
    )
    .option(
      '--host-name <name>',
      'a name the page is reached by, beside addresses and localhost; repeatable. Requests by any other are refused',
      collect,
    )
    .addOption(
      new Option('-o, --output <format>', 'text for people, json for programs')
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('--verbose', 'log the connection to NATS, and show the stack and the causes of an error')
  addLatticeOptions(command).action((options: ConsoleCommandOptions) => runConsole(options, environment))
}

async function runConsole(options: ConsoleCommandOptions, environment: CliEnvironment): Promise<void> {
  const [{ serveConsole }, { withLattice }, { systemClock }, { isHeraldError }, { createConsoleSource }] =
    await Promise.all([
      import('../console/serve-console.ts'),
      import('./lattice-command.ts'),
      import('../clock/clock.ts'),
      import('../errors/herald-error.ts'),
      import('./console-source.ts'),
    ])
  const { stdout, stderr } = environment
  await withLattice(options, environment, async (client, { signal }) => {
    let lastTrouble = ''
    await using source = createConsoleSource(client, systemClock)
    await using served = await serveConsole({
      ask: () => source.ask(),
      clock: systemClock,
      listen: options.listen,
      ...(options.hostName && { hostNames: options.hostName }),
      onTrouble(error) {
        const text = isHeraldError(error) ? error.describe() : String(error)
        if (!signal.aborted && text !== lastTrouble) stderr.write(`${text}\n`)
        lastTrouble = text
      },
    })
    const { url, loopback } = served
    if (!loopback)
      stderr.write(
        `WARNING: ${url} is reachable from other machines. Whoever reaches it reads, unasked and unencrypted, the names, labels, addresses, images, messages, audiences, SPIFFE IDs and refusals of all hosts and workloads.\n`,
      )
    stdout.write(options.output === 'json' ? `${JSON.stringify({ event: 'ready', url })}\n` : `console: ${url}\n`)
    const alive = setInterval(() => {}, 60_000)
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      if (signal.aborted) resolve()
    })
    clearInterval(alive)
  })
}
