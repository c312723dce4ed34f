import type { SpiffeId } from '../../spiffe/spiffe-id.ts'

/** What a policy can be printed for: every relying party of Herald's own, and SPIRE itself (the registration entry). */
export const trustKinds = [
  'aws',
  'gcp',
  'azure',
  'vault',
  'minio',
  'keycloak',
  'kafka',
  'kubernetes',
  'nats',
  'spire',
] as const
export type TrustKind = (typeof trustKinds)[number]

export type TrustFormat = 'commands' | 'terraform' | 'kubernetes'

/** One value that a policy needs beyond identity, issuer and audience. */
export type Setting = {
  /** `role-arn`: the option's name without dashes. */
  readonly name: string
  readonly meaning: string
  readonly example: string
  readonly pattern: RegExp
  readonly required: boolean
  readonly default?: string
  /** May be given several times. */
  readonly many?: boolean
}

/** Checked input: every value has the shape that its place demands. */
export type TrustInput = {
  readonly spiffeId: SpiffeId
  readonly trustDomain: string
  /** `iss` of the tokens, exactly. Empty for kinds that do not need it. */
  readonly issuer: string
  readonly audience: string
  /** Of role, policy, provider, client…: letters, digits and dashes. */
  readonly name: string
  readonly format: TrustFormat
  one(setting: string): string
  optional(setting: string): string | undefined
  many(setting: string): readonly string[]
}

export type TrustStep =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | { readonly kind: 'command'; readonly command: string }

/** The policy itself, in the order in which it is applied, and what a person should know beside it. */
export type TrustPolicy = {
  readonly kind: TrustKind
  readonly steps: readonly TrustStep[]
  readonly notes: readonly string[]
}

export type TrustOptions = {
  readonly kind: TrustKind
  readonly title: string
  readonly formats: readonly TrustFormat[]
  readonly needsIssuer: boolean
  /** Default audience; undefined = it must be given; null = the kind has none. */
  readonly audience: string | undefined | null
  readonly settings: readonly Setting[]
}

export type TrustBuilder = TrustOptions & { build(input: TrustInput): TrustPolicy }
