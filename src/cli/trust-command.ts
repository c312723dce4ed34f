import { type Command, Option } from 'commander'
import { HeraldError } from '../errors/herald-error.ts'
import { audienceOf, type Binding, parseBinding } from '../federation/binding.ts'
import type { TrustBuilder, TrustFormat, TrustKind } from '../federation/trust/trust-builder.ts'
import { trustKinds } from '../federation/trust/trust-builder.ts'
import { trustBuilders, trustPolicy } from '../federation/trust/trust-policy.ts'
import { trustScript } from '../federation/trust/trust-script.ts'
import { spiffeIdOf } from '../spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../spiffe/trust-domain.ts'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collect } from './option-values.ts'
import { findWorkloadSubject, type WorkloadSubject } from './workload-subject.ts'

type TrustOptions = CommonOptions & {
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
  for (const kind of trustKinds) addKind(trust, trustBuilders[kind], environment)
}

function addKind(trust: Command, builder: TrustBuilder, environment: CliEnvironment): void {
  const command = trust
    .command(builder.kind)
    .summary(builder.title)
    .description(`${builder.title}, for exactly one SPIFFE ID.`)
    .argument('[workload]', 'a manifest: names the component, its audience and its selectors')
    .option('--spiffe-id <id>', 'the SPIFFE ID to trust, instead of a manifest or of what it leads to')
    .option('--component <name>', 'which component of the manifest; needed when it has several')
    .option('--trust-domain <name>', 'with a manifest: its SPIFFE ID is spiffe://TRUST-DOMAIN/LATTICE/COMPONENT')
    .option('--lattice <name>', 'with a manifest: second part of that SPIFFE ID', 'default')
    .option('--name <name>', 'name of what is created (default: made of the SPIFFE ID)')
  if (builder.needsIssuer) {
    command.option('--issuer <url>', 'iss of the tokens, exactly as they say it; a trailing slash matters')
  }
  if (builder.audience !== null) {
    const known = builder.audience === undefined || builder.audience === '' ? '' : ` (default: ${builder.audience})`
    command.option('--audience <audience>', `audience that the workload asks for${known}`)
  }
  if (builder.formats.length > 1) {
    command.addOption(new Option('--format <format>', 'what is printed').choices(builder.formats).default('commands'))
  }
  for (const { name, meaning, example, required, many, default: usual } of builder.settings) {
    const notes = [
      required ? 'required' : undefined,
      many ? 'repeatable' : undefined,
      usual === undefined ? `such as ${example}` : `default: ${usual}`,
    ]
    const text = `${meaning} (${notes.filter((note) => note !== undefined).join('; ')})`
    if (many) command.option(`--${name} <value>`, text, collect)
    else command.option(`--${name} <value>`, text)
  }
  addCommonOptions(command).action((workload: string | undefined, options: TrustOptions) =>
    runTrust(builder, workload, options, environment),
  )
}

async function runTrust(
  builder: TrustBuilder,
  file: string | undefined,
  options: TrustOptions,
  { cwd, stdout }: CliEnvironment,
): Promise<void> {
  const subject = file === undefined ? undefined : await findWorkloadSubject(file, options.component, { cwd })
  const settings = Object.fromEntries(
    builder.settings.map(({ name }) => [
      name,
      (options as unknown as Record<string, string | readonly string[]>)[camelCase(name)],
    ]),
  )
  if (builder.kind === 'spire' && subject !== undefined) settings.selector ??= selectorsFor(subject)
  const policy = trustPolicy(builder.kind, {
    spiffeId: spiffeIdFor(subject, options),
    issuer: options.issuer,
    audience: options.audience ?? (subject && audienceFor(builder.kind, subject)),
    name: options.name,
    format: options.format,
    settings,
  })
  stdout.write(options.output === 'json' ? `${JSON.stringify(policy)}\n` : trustScript(policy))
}

/** The least that tells a component from every other one of the trust domain, whatever its image. */
function selectorsFor({ workload, componentName }: WorkloadSubject): readonly string[] {
  return [
    `wasmcloud:component:${componentName}`,
    `wasmcloud:namespace:${workload.namespace}`,
    `wasmcloud:workload:${workload.name}`,
  ]
}

function spiffeIdFor(subject: WorkloadSubject | undefined, options: TrustOptions): string {
  const given = options.spiffeId ?? subject?.spiffeId
  if (given !== undefined) return given
  if (subject !== undefined && options.trustDomain !== undefined) {
    return spiffeIdOf(parseTrustDomain(options.trustDomain), options.lattice, subject.componentName)
  }
  throw new HeraldError('ERR_USAGE', 'whom to trust is not said', {
    hint: 'give --spiffe-id, or a manifest and --trust-domain',
  })
}

/** The audience of the binding for this kind; else the only one that the workload may ask for. */
function audienceFor(kind: TrustKind, subject: WorkloadSubject): string | undefined {
  const bindings = subject.credentials.map(({ name = 'default', config }) => {
    const { 'spiffe-id': _, ...rest } = config
    return parseBinding(name, rest)
  })
  const provider = providerOf[kind]
  const bound = bindings.find((binding) => binding.provider === provider)
  if (bound !== undefined) return audienceOf(bound)
  const [only, ...others] = subject.audiences
  return trustBuilders[kind].audience === undefined && others.length === 0 ? only : undefined
}

/** Which provider of `herald:credentials` leads to which kind of relying party. */
const providerOf: Readonly<Record<TrustKind, Binding['provider'] | undefined>> = {
  aws: 'aws',
  minio: 'aws',
  gcp: 'gcp',
  azure: 'azure',
  vault: 'vault',
  keycloak: 'oidc',
  kafka: 'jwt-svid',
  kubernetes: 'jwt-svid',
  nats: undefined,
  spire: undefined,
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
