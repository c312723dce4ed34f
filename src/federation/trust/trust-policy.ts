import { createHash } from 'node:crypto'
import { HeraldError } from '../../errors/herald-error.ts'
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { isPublicHost } from '../checks/is-public-host.ts'
import { relyingParties } from '../relying-party-table.ts'
import { trustAws } from './trust-aws.ts'
import { trustAzure } from './trust-azure.ts'
import type { Setting, TrustBuilder, TrustFormat, TrustInput, TrustKind, TrustPolicy } from './trust-builder.ts'
import { trustGcp } from './trust-gcp.ts'
import { trustKafka } from './trust-kafka.ts'
import { trustKeycloak } from './trust-keycloak.ts'
import { trustKubernetes } from './trust-kubernetes.ts'
import { trustMinio } from './trust-minio.ts'
import { trustNats } from './trust-nats.ts'
import { trustSpire } from './trust-spire.ts'
import { trustVault } from './trust-vault.ts'

export const trustBuilders: Readonly<Record<TrustKind, TrustBuilder>> = {
  aws: trustAws,
  gcp: trustGcp,
  azure: trustAzure,
  vault: trustVault,
  minio: trustMinio,
  keycloak: trustKeycloak,
  kafka: trustKafka,
  kubernetes: trustKubernetes,
  nats: trustNats,
  spire: trustSpire,
}

export type TrustRequest = {
  readonly spiffeId: string
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly name?: string | undefined
  readonly format?: TrustFormat | undefined
  /** By setting name; each kind's are in its builder. */
  readonly settings: Readonly<Record<string, string | readonly string[] | undefined>>
}

/**
 * The least policy with which a relying party accepts one SPIFFE ID. Pure: the same request gives the same policy.
 * @throws ERR_FEDERATION_BINDING_INVALID naming what is missing or wrong · ERR_SPIFFE_ID_INVALID
 */
export function trustPolicy(kind: TrustKind, request: TrustRequest): TrustPolicy {
  const builder = trustBuilders[kind]
  const spiffeId = parseSpiffeId(request.spiffeId)
  if (pathOf(spiffeId) === '') throw invalid('--spiffe-id', spiffeId, 'spiffe://example.org/default/api-gateway')
  const format = request.format ?? 'commands'
  if (!builder.formats.includes(format)) throw invalid('--format', format, builder.formats.join(', '))
  const settings = checkSettings(builder, request.settings)
  const input: TrustInput = {
    spiffeId,
    trustDomain: trustDomainOf(spiffeId),
    issuer: builder.needsIssuer ? checkIssuer(request.issuer) : (request.issuer ?? ''),
    audience: checkAudience(builder, request.audience),
    name: checkName(request.name ?? nameFor(spiffeId)),
    format,
    one: (setting) => settings.get(setting)?.[0] ?? '',
    optional: (setting) => settings.get(setting)?.[0],
    many: (setting) => settings.get(setting) ?? [],
  }
  const policy = builder.build(input)
  const warning = issuerWarning(kind, input.issuer)
  return warning === undefined ? policy : { ...policy, notes: [warning, ...policy.notes] }
}

/** An issuer that the party would refuse, told before it is configured. */
function issuerWarning(kind: TrustKind, issuer: string): string | undefined {
  if (kind === 'spire' || issuer === '') return undefined
  const { title, issuer: demands } = relyingParties[kind]
  const url = new URL(issuer)
  if (demands.httpsOnly && url.protocol !== 'https:') return `WARNING: ${title} only accepts an https issuer.`
  if (!demands.portAllowed && url.port !== '') return `WARNING: ${title} does not accept an issuer with a port.`
  if (demands.mustBePublic && !isPublicHost(url.hostname)) {
    return `WARNING: ${title} fetches the keys from the internet, where ${url.hostname} does not exist.`
  }
  return undefined
}

/** `herald-default-api-gateway-1a2b3c`: the digits keep `a/b-c` and `a-b/c` apart. At most 63 characters. */
export function nameFor(spiffeId: SpiffeId): string {
  const digits = createHash('sha256').update(spiffeId).digest('hex').slice(0, 6)
  const path = pathOf(spiffeId)
    .slice(1)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replace(/^-|-$/g, '')
  return `herald-${path}-${digits}`
}

function checkName(name: string): string {
  if (!/^[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(name)) throw invalid('--name', name, 'herald-api-gateway')
  return name
}

function checkIssuer(issuer: string | undefined): string {
  // Nothing is normalised: relying parties compare byte by byte. A trailing slash stays.
  if (issuer === undefined || !/^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~/-]*)?$/.test(issuer)) {
    throw invalid('--issuer', issuer, 'https://oidc.example.org')
  }
  return issuer
}

function checkAudience(builder: TrustBuilder, given: string | undefined): string {
  if (builder.audience === null) return ''
  const audience = given ?? builder.audience
  // Policy languages give meaning to `$`, `*`, `?`, quotes and braces; no audience needs them.
  if (audience === undefined || !/^[A-Za-z0-9._~:/@+=,-]*$/.test(audience)) {
    throw invalid('--audience', audience, 'the audience that the workload will ask for')
  }
  return audience
}

function checkSettings(builder: TrustBuilder, given: TrustRequest['settings']): Map<string, readonly string[]> {
  const unknown = Object.keys(given).find((name) => !builder.settings.some((setting) => setting.name === name))
  if (unknown !== undefined)
    throw invalid(`--${unknown}`, 'unknown', builder.settings.map(({ name }) => `--${name}`).join(', '))
  return new Map(builder.settings.map((setting) => [setting.name, checkSetting(setting, given[setting.name])]))
}

function checkSetting(setting: Setting, given: string | readonly string[] | undefined): readonly string[] {
  const values = given === undefined ? [] : typeof given === 'string' ? [given] : given
  const filled = values.length === 0 && setting.default !== undefined ? [setting.default] : values
  if (filled.length === 0 && setting.required) throw invalid(`--${setting.name}`, undefined, setting.example)
  if (filled.length > 1 && setting.many !== true) throw invalid(`--${setting.name}`, filled.join(', '), setting.example)
  for (const value of filled) {
    // A line break would leave the place that the value was meant for; only a certificate has any.
    const breaks = /[\r\n]/.test(value.trim()) && !value.startsWith('-----BEGIN CERTIFICATE-----')
    if (breaks || !setting.pattern.test(value)) throw invalid(`--${setting.name}`, value, setting.example)
  }
  return filled
}

function invalid(option: string, value: string | undefined, example: string): HeraldError {
  const what = value === undefined ? 'is missing' : `cannot be ${JSON.stringify(value.slice(0, 200))}`
  return new HeraldError('ERR_FEDERATION_BINDING_INVALID', `${option} ${what}`, {
    hint: `For example: ${option} ${example}`,
  })
}
