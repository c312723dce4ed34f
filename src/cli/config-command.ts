import type { Command } from 'commander'
import { type Contexts, contextNamed, type LatticeContext, readContexts, writeContexts } from '../config/contexts.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { addNatsCredentialOptions, type NatsOptions } from './nats-options.ts'
import { collect } from './option-values.ts'
import { printResult, styleFor } from './output.ts'
import { table } from './table.ts'

export function addConfigCommand(program: Command, environment: CliEnvironment): void {
  const { contextsFile, stdout } = environment
  const config = program
    .command('config')
    .summary('name the lattices that commands talk to')
    .description(
      'Contexts: named ways to a lattice, with paths of credentials and never the credentials themselves. An option wins over a variable, a variable over the context in use.',
    )
  const change = async (edit: (contexts: Contexts) => Contexts): Promise<void> =>
    writeContexts(contextsFile, edit(await readContexts(contextsFile)))

  addCommonOptions(config.command('list').description('List the contexts; * marks the one in use.')).action(
    async ({ output }: CommonOptions) => {
      const { current, contexts } = await readContexts(contextsFile)
      const rows = Object.entries(contexts).map(([name, context]) => ({ name, ...context }))
      const style = styleFor(stdout, environment.noColor)
      printResult(environment, output, {
        value: { current, contexts },
        text: () =>
          rows.length === 0
            ? 'no contexts; make one: herald config set NAME --nats URL\n'
            : table(
                rows,
                [
                  { title: ' ', cell: ({ name }) => (name === current ? '*' : '') },
                  { title: 'NAME', cell: ({ name }) => name },
                  { title: 'NATS', cell: ({ nats }) => nats.join(',') },
                  { title: 'CREDENTIALS', cell: credentialsOf },
                ],
                { style },
              ),
      })
    },
  )

  const set = config
    .command('set')
    .description('Make a context, or replace it; the first one is in use at once.')
    .argument('<name>', 'letters, digits, . _ and -')
    .requiredOption('--nats <url>', 'NATS of the lattice; repeatable for the servers of a cluster', collect)
  addNatsCredentialOptions(set)
    .option('--use', 'use it from now on')
    .action(async (name: string, { use, ...options }: NatsOptions & { nats: readonly string[]; use?: true }) => {
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
        throw new HeraldError('ERR_USAGE', `${JSON.stringify(name)} cannot name a context`, {
          hint: 'use letters, digits, . _ and -',
        })
      }
      await change(({ current, contexts }) => ({
        current: use || current === undefined ? name : current,
        contexts: { ...contexts, [name]: options },
      }))
    })

  config
    .command('use')
    .description('Use a context from now on.')
    .argument('<name>', 'of the context')
    .action((name: string) =>
      change((known) => {
        contextNamed(name, known)
        return { ...known, current: name }
      }),
    )

  config
    .command('delete')
    .description('Forget a context.')
    .argument('<name>', 'of the context')
    .action((name: string) =>
      change((known) => {
        contextNamed(name, known)
        const { [name]: _, ...contexts } = known.contexts
        return { current: known.current === name ? undefined : known.current, contexts }
      }),
    )

  config
    .command('path')
    .description('Print where contexts are kept.')
    .action(() => void stdout.write(`${contextsFile}\n`))
}

function credentialsOf({ natsCreds, natsNkey, natsTokenFile, natsCert }: LatticeContext): string {
  return natsCreds ?? natsNkey ?? natsTokenFile ?? natsCert ?? ''
}
