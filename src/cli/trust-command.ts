import { type Command, Option } from 'commander'
import type { TrustFormat, TrustOptions } from '../federation/trust/trust-builder.ts'
import { trustKinds } from '../federation/trust/trust-builder.ts'
import { trustOptions } from '../federation/trust/trust-options.ts'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collect } from './option-values.ts'

export type TrustCommandOptions = CommonOptions & {
  readonly spiffeId?: string
  readonly trustDomain?: string
  readonly lattice: string
  readonly component?: string
  readonly issuer?: string
  readonly audience?: string
  readonly name?: string
  readonly format?: TrustFormat
}

export function addTrustCommand(program: Command, environment: CliEnvironment): void {
  const trust = program
    .command('trust')
    .summary('print the policy with which a relying party trusts a component')
    .description(
      'Prints what a relying party (or SPIRE) must be told so that it accepts one component and nobody else: least privilege, as a shell script that can be read, kept and run. Nothing is changed anywhere.',
    )
    .addHelpText(
      'after',
      `
Examples:
  herald trust spire workload.yaml --trust-domain example.org
  herald trust aws workload.yaml --trust-domain example.org --issuer https://oidc.example.org --account 123456789012
  herald trust vault --spiffe-id spiffe://example.org/default/api --issuer https://oidc.example.org --audience https://vault.example.org --read secret/data/shop/db

Exit codes: 0 printed · 2 usage, or a value is missing or wrong`,
    )
  for (const kind of trustKinds) addKind(trust, trustOptions[kind], environment)
}

function addKind(trust: Command, about: TrustOptions, environment: CliEnvironment): void {
  const command = trust
    .command(about.kind)
    .summary(about.title)
    .description(`${about.title}, for exactly one SPIFFE ID.`)
    .argument('[workload]', 'a manifest: names the component, its audience and its selectors')
    .option('--spiffe-id <id>', 'the SPIFFE ID to trust, instead of a manifest or of what it leads to')
    .option('--component <name>', 'which component of the manifest; needed when it has several')
    .option('--trust-domain <name>', 'with a manifest: its SPIFFE ID is spiffe://TRUST-DOMAIN/LATTICE/COMPONENT')
    .option('--lattice <name>', 'with a manifest: second part of that SPIFFE ID', 'default')
    .option('--name <name>', 'name of what is created (default: made of the SPIFFE ID)')
  if (about.needsIssuer) {
    command.option('--issuer <url>', 'iss of the tokens, exactly as they say it; a trailing slash matters')
  }
  if (about.audience !== null) {
    const known = about.audience === undefined || about.audience === '' ? '' : ` (default: ${about.audience})`
    command.option('--audience <audience>', `audience that the workload asks for${known}`)
  }
  if (about.formats.length > 1) {
    command.addOption(new Option('--format <format>', 'what is printed').choices(about.formats).default('commands'))
  }
  for (const { name, meaning, example, required, many, default: usual } of about.settings) {
    const notes = [
      required ? 'required' : undefined,
      many ? 'repeatable' : undefined,
      usual === undefined ? `such as ${example}` : `default: ${usual}`,
    ]
    const text = `${meaning} (${notes.filter((note) => note !== undefined).join('; ')})`
    if (many) command.option(`--${name} <value>`, text, collect)
    else command.option(`--${name} <value>`, text)
  }
  addCommonOptions(command).action(async (workload: string | undefined, options: TrustCommandOptions) =>
    (await import('./run-trust.ts')).runTrust(about.kind, workload, options, environment),
  )
}
