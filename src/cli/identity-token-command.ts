import type { Command } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collect } from './option-values.ts'

export type TokenOptions = CommonOptions & {
  readonly audience: readonly string[]
  readonly component?: string
  readonly lattice: string
  readonly trustDomain: string
  readonly ephemeral?: true
  readonly raw?: true
}

export function addIdentityCommand(program: Command, environment: CliEnvironment): void {
  const identity = program
    .command('identity')
    .description('development tokens, and why a relying party would refuse an identity')
  const command = identity
    .command('token')
    .summary('get a development JWT-SVID, as a component would')
    .description(
      'Issues a JWT-SVID as a component gets it, by the development authority of the herald dev that this user started last, asked over a unix socket only this user can open. Any audience is given: whoever runs herald dev has its key anyway.',
    )
    .requiredOption('--audience <audience>', 'who the token is for; repeatable', collect)
    .option('--component <name>', 'which component; needed when herald dev runs several')
    .option(
      '--ephemeral',
      'do not ask herald dev: sign with a key that is thrown away; to see what a token looks like, nobody can verify it',
    )
    .option('--lattice <name>', 'with --ephemeral: first part of the path of the SPIFFE ID', 'default')
    .option('--trust-domain <name>', 'with --ephemeral: its trust domain; must say "development"', 'development.local')
    .option('--raw', 'print the token itself, which is a credential, instead of what it says')
    .addHelpText(
      'after',
      `
Examples:
  herald identity token --audience sts.amazonaws.com
  herald identity token --audience sts.amazonaws.com --component api-gateway --raw > token.jwt
  herald identity token --audience sts.amazonaws.com --component api-gateway --ephemeral --output json

Exit codes: 0 issued · 2 usage, or no herald dev runs`,
    )
  addCommonOptions(command).action(async (options: TokenOptions) =>
    (await import('./run-identity-token.ts')).runIdentityToken(options, environment),
  )
}
