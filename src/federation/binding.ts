import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'

/** Plain http only to this machine: a token is a bearer credential. Never to where a cloud gives credentials of the machine itself. */
const endpoint = z.string().refine((text) => {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!plain || isMetadataHost(url.hostname)) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}, 'must be an https URL without user, query or fragment (http only to 127.0.0.1 and localhost)')

export function isLoopbackHost(hostname: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|0(\.0){3}|\[::1?\]|\[::ffff:7f[0-9a-f:]+\])$/.test(hostname)
}

export function isMetadataHost(hostname: string): boolean {
  return /^(169\.254(\.\d+){2}|\[fe[89ab][0-9a-f]:.*\]|\[fd00:ec2::254\]|100\.100\.100\.200|metadata\.google\.internal)\.?$/.test(
    hostname,
  )
}

const audience = z.string().regex(/^[\x21-\x7e]{1,1000}$/, 'must be the audience of the token, without spaces')
const roleArn = z.string().regex(/^arn:[a-z0-9-]+:iam::\d*:role\/[\w+=,.@/-]+$/, 'must be the ARN of a role')
const seconds = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number of seconds')
    .transform(Number)
    .pipe(z.number().min(min, `must be ${min} at least`).max(max, `must be ${max} at most`))
const list = (item: z.ZodType<string, string>) =>
  z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(item))
const scope = z.string().regex(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/, 'must be scopes, separated by single spaces')
const guid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'must be a GUID')

const aws = z.strictObject({
  provider: z.literal('aws'),
  audience: audience.default('sts.amazonaws.com'),
  'role-arn': roleArn.or(z.string().regex(/^arn:minio:iam:::role\/[\w-]+$/)),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region such as us-east-1'),
  'sts-endpoint': endpoint.optional(),
  /** Lifetime of the credentials, seconds; AWS: 900 to the role's maximum. They outlive the identity, so the least is the default. */
  'duration-s': seconds(900, 43_200).default(900),
  'session-name': z
    .string()
    .regex(/^[\w+=,.@-]{2,64}$/)
    .optional(),
  /** Further roles, each assumed with the credentials of the one before. */
  'chain-role-arns': list(roleArn).default([]),
  'external-id': z
    .string()
    .regex(/^[\w+=,.@:/-]{2,1224}$/)
    .optional(),
  /** `key=value`, told to the chained roles; `AssumeRoleWithWebIdentity` takes tags from the token alone. */
  'session-tags': list(z.string().regex(/^[\w .:/=+@-]{1,128}=[\w .:/=+@-]{0,256}$/)).default([]),
})

const gcp = z.strictObject({
  provider: z.literal('gcp'),
  'workload-identity-provider': z
    .string()
    .regex(
      /^projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{4,32}\/providers\/[a-z0-9-]{4,32}$/,
      'must be projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER',
    ),
  /** Default: the provider's own, `https://iam.googleapis.com/<workload-identity-provider>`. */
  audience: audience.optional(),
  scope: scope.default('https://www.googleapis.com/auth/cloud-platform'),
  'service-account': z
    .string()
    .regex(/^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$/)
    .optional(),
  'token-endpoint': endpoint.default('https://sts.googleapis.com/v1/token'),
  'impersonation-endpoint': endpoint.default('https://iamcredentials.googleapis.com'),
  'duration-s': seconds(300, 3600).default(900),
})

const azure = z.strictObject({
  provider: z.literal('azure'),
  audience: audience.default('api://AzureADTokenExchange'),
  'tenant-id': guid,
  'client-id': guid,
  scope,
  authority: endpoint.default('https://login.microsoftonline.com'),
})

const vault = z.strictObject({
  provider: z.literal('vault'),
  audience,
  address: endpoint,
  role: z.string().regex(/^[\w.-]+$/),
  mount: z
    .string()
    .regex(/^[\w-]+(\/[\w-]+)*$/)
    .default('jwt'),
  /** What to read: `secret/data/shop/db`, `database/creds/reader`. */
  path: z.string().regex(/^[\w-][\w.-]*(\/[\w-][\w.-]*)+$/),
  'vault-namespace': z
    .string()
    .regex(/^[\w-]+(\/[\w-]+)*\/?$/)
    .optional(),
})

const oidc = z.strictObject({
  provider: z.literal('oidc'),
  audience,
  'token-endpoint': endpoint,
  /** `token-exchange`: RFC 8693, the SVID is the subject. `client-credentials`: RFC 7523, the SVID authenticates the client. */
  grant: z.enum(['token-exchange', 'client-credentials']).default('token-exchange'),
  'client-assertion': z.enum(['jwt-spiffe', 'jwt-bearer']).default('jwt-bearer'),
  'client-id': z
    .string()
    .regex(/^[\x21-\x7e]+$/)
    .optional(),
  'target-audience': audience.optional(),
  resource: endpoint.optional(),
  scope: scope.optional(),
})

/** The JWT-SVID itself, for whoever takes it as it is: Kafka OAUTHBEARER, kube-apiserver, another component. */
const jwtSvid = z.strictObject({ provider: z.literal('jwt-svid'), audience })

const schema = z.discriminatedUnion('provider', [aws, gcp, azure, vault, oidc, jwtSvid])

const keysOf = ({ shape }: { readonly shape: object }): readonly string[] => Object.keys(shape)
/** The keys of each provider's configuration, `provider` among them. */
export const bindingKeys = {
  aws: keysOf(aws),
  gcp: keysOf(gcp),
  azure: keysOf(azure),
  vault: keysOf(vault),
  oidc: keysOf(oidc),
  'jwt-svid': keysOf(jwtSvid),
} satisfies Readonly<Record<Binding['provider'], readonly string[]>>

export type Binding = z.output<typeof schema>
export type BindingOf<Provider extends Binding['provider']> = Extract<Binding, { provider: Provider }>

/**
 * A binding's configuration, from texts. Strict: an unknown key is an error.
 * @throws ERR_FEDERATION_BINDING_INVALID naming each key at fault
 */
export function parseBinding(name: string, config: Readonly<Record<string, string>>): Binding {
  const result = schema.safeParse(config)
  if (result.success) return result.data
  const problems = result.error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `unknown key ${JSON.stringify(key)}`)
    const key = issue.path.join('.')
    if (key === 'provider') return [`"provider" must be aws, gcp, azure, vault, oidc or jwt-svid`]
    return [config[key] === undefined ? `"${key}" is missing` : `"${key}" ${describe(issue.message)}`]
  })
  throw new HeraldError(
    'ERR_FEDERATION_BINDING_INVALID',
    `the credentials binding ${JSON.stringify(name)} is wrong: ${problems.join('; ')}`,
    { hint: 'Each provider has its own keys: docs/federation/ has one page per provider.' },
  )
}

function describe(message: string): string {
  return message.startsWith('must') ? message : 'has the wrong form'
}

/** The audience for which the identity must be asked. */
export function audienceOf(binding: Binding): string {
  if (binding.provider === 'gcp') {
    return binding.audience ?? `https://iam.googleapis.com/${binding['workload-identity-provider']}`
  }
  return binding.audience
}

/**
 * The endpoint on this machine that a binding would be asked at, if there is one. Whoever writes a manifest could reach services of the
 * host by it, so a host permits it only when it is told to.
 */
export function loopbackEndpointOf(binding: Binding): string | undefined {
  const keys = ['sts-endpoint', 'token-endpoint', 'impersonation-endpoint', 'authority', 'address']
  return Object.entries(binding)
    .filter(([key, value]) => keys.includes(key) && typeof value === 'string')
    .map(([, value]) => String(value))
    .find((value) => isLoopbackHost(new URL(value).hostname))
}
