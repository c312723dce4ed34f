import { HeraldError } from '../errors/herald-error.ts'
import { audienceOf, type Binding, parseBinding } from '../federation/binding.ts'
import type { TrustKind } from '../federation/trust/trust-builder.ts'
import { trustBuilders, trustPolicy } from '../federation/trust/trust-policy.ts'
import { trustScript } from '../federation/trust/trust-script.ts'
import { spiffeIdOf } from '../spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../spiffe/trust-domain.ts'
import type { CliEnvironment } from './environment.ts'
import type { TrustCommandOptions } from './trust-command.ts'
import { findWorkloadSubject, type WorkloadSubject } from './workload-subject.ts'

export async function runTrust(
  kind: TrustKind,
  file: string | undefined,
  options: TrustCommandOptions,
  { cwd, stdout }: CliEnvironment,
): Promise<void> {
  const builder = trustBuilders[kind]
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

/**
 * What tells a component of one tenant from those of all others, whatever its image: names are the tenants' to choose, namespaces are not.
 * Not the workload: upstream's operator gives it another name with every rollout.
 */
function selectorsFor({ workload, componentName }: WorkloadSubject): readonly string[] {
  return [`wasmcloud:component:${componentName}`, `wasmcloud:namespace:${workload.namespace}`]
}

function spiffeIdFor(subject: WorkloadSubject | undefined, options: TrustCommandOptions): string {
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
