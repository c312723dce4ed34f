import {
  type BlobstoreBackend,
  blobstoreKeys,
  parseBlobstoreEntry,
} from '../../src/capabilities/blobstore/blobstore-config.ts'
import { callsKeys, parseCallsEntry } from '../../src/capabilities/calls/calls-config.ts'
import { parseCredentialsConfig } from '../../src/capabilities/credentials/credentials-config.ts'
import { parseEgressConfig } from '../../src/capabilities/egress/egress-config.ts'
import { EntrySettings } from '../../src/capabilities/entry-settings.ts'
import { parseHeraldIdentityConfig } from '../../src/capabilities/herald-identity/herald-identity-config.ts'
import { parseIdentityConfig } from '../../src/capabilities/identity/identity-config.ts'
import {
  type KeyvalueBackend,
  keyvalueConfigKeys,
  parseKeyvalueEntry,
} from '../../src/capabilities/keyvalue/keyvalue-config.ts'
import { createLoggingCapability, loggingKeys } from '../../src/capabilities/logging/logging-capability.ts'
import { messagingKeys, parseMessagingEntry } from '../../src/capabilities/messaging/messaging-config.ts'
import { createSecretsCapability, secretsKeys } from '../../src/capabilities/secrets/secrets-capability.ts'
import { bindingKeys } from '../../src/federation/binding.ts'
import type { ComponentFacts } from '../../src/identity/component-facts.ts'
import { cellSettingKeys, parseCellSettings } from '../../src/manifest/cell-settings.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { httpHostsOf } from '../../src/manifest/http-hosts.ts'
import { createLog } from '../../src/observability/log.ts'

/** One key of `config`. */
export type ConfigKey = {
  readonly key: string
  /** A value that is taken. */
  readonly example: string
  /** A value that is refused; absent where any text is taken. */
  readonly refused?: string
  /** What holds without it, between backquotes if it could be written; absent when the key is required. */
  readonly fallback?: string
  readonly meaning: string
}

/** The keys of one package's entries, or of those with one provider or backend. */
export type ConfigSection = {
  readonly title: string
  readonly entry: Pick<HostInterface, 'namespace' | 'package' | 'interfaces' | 'version'>
  /** The least config; required keys are in it. */
  readonly least: Readonly<Record<string, string>>
  readonly keys: readonly ConfigKey[]
  /** All keys that the code knows. */
  readonly known: readonly string[]
  /** As a host reads it. @throws what a host refuses it with */
  readonly parse: (config: Readonly<Record<string, string>>) => unknown
}

type Entry = ConfigSection['entry']
const entryOf = (entry: Entry, config: Readonly<Record<string, string>>, name?: string): HostInterface => ({
  ...entry,
  name,
  config,
})
const key = (
  name: string,
  example: string,
  meaning: string,
  rest: { refused?: string; fallback?: string } = {},
): ConfigKey => ({
  key: name,
  example,
  meaning,
  ...rest,
})

const facts = { namespace: 'default', workloadName: 'api', workloadId: 'api', componentName: 'api' } as ComponentFacts
const never = { signal: new AbortController().signal }
const log = createLog({ level: 'silent' })

const spiffeId = key(
  'spiffe-id',
  'spiffe://example.org/default/api',
  'the one SPIFFE ID to accept when several entries match',
  {
    refused: 'example.org/api',
    fallback: 'none; several are refused',
  },
)

const identity: Entry = { namespace: 'wasmcloud', package: 'identity', interfaces: ['store'], version: '0.0.1' }
const heraldIdentity: Entry = {
  namespace: 'herald',
  package: 'identity',
  interfaces: ['caller', 'component', 'verifier', 'x509'],
  version: '0.1.0',
}
const http: Entry = { namespace: 'wasi', package: 'http', interfaces: ['incoming-handler'], version: undefined }
const credentials: Entry = { namespace: 'herald', package: 'credentials', interfaces: ['store'], version: '0.1.0' }
const cell: Entry = { namespace: 'herald', package: 'cell', interfaces: ['settings'], version: undefined }
const egress: Entry = { namespace: 'herald', package: 'egress', interfaces: ['signing'], version: '0.1.0' }
const keyvalue: Entry = {
  namespace: 'wasi',
  package: 'keyvalue',
  interfaces: ['store', 'atomics', 'batch'],
  version: '0.2.0-draft',
}
const blobstore: Entry = { namespace: 'wasi', package: 'blobstore', interfaces: ['blobstore'], version: '0.2.0-draft' }
const messaging: Entry = {
  namespace: 'wasmcloud',
  package: 'messaging',
  interfaces: ['consumer', 'handler'],
  version: '0.2.0',
}
const ledger: Entry = { namespace: 'acme', package: 'ledger', interfaces: ['accounts'], version: undefined }
const logging: Entry = { namespace: 'wasi', package: 'logging', interfaces: ['logging'], version: '0.1.0-draft' }
const secrets: Entry = {
  namespace: 'wasmcloud',
  package: 'secrets',
  interfaces: ['store', 'reveal'],
  version: undefined,
}

const audience = (fallback?: string) =>
  key('audience', 'https://sts.example.org', 'audience of the token that is traded', {
    refused: 'two words',
    ...(fallback !== undefined && { fallback }),
  })
const durationS = (refused: string) =>
  key('duration-s', '1200', 'lifetime of the credentials, seconds', { refused, fallback: '`900`' })
const endpoint = (name: string, fallback: string, meaning: string) =>
  key(name, 'https://endpoint.example.org', meaning, { refused: 'http://endpoint.example.org', fallback })

const awsKeys = [
  key('role-arn', 'arn:aws:iam::123456789012:role/reader', 'the role to assume', { refused: 'reader' }),
  key('region', 'eu-central-1', 'region of STS, and of what is signed', { refused: 'Frankfurt' }),
  audience('`sts.amazonaws.com`'),
  endpoint('sts-endpoint', "the region's own", 'another STS'),
  durationS('60'),
  key('session-name', 'api', 'RoleSessionName', { refused: 'a b', fallback: 'made of the SPIFFE ID' }),
] as const

const bindings: Readonly<
  Record<
    keyof typeof bindingKeys,
    { readonly least: Readonly<Record<string, string>>; readonly keys: readonly ConfigKey[] }
  >
> = {
  aws: {
    least: { 'role-arn': 'arn:aws:iam::123456789012:role/reader', region: 'eu-central-1' },
    keys: [
      ...awsKeys,
      key('chain-role-arns', 'arn:aws:iam::123456789012:role/second', 'roles assumed one after the other, by commas', {
        refused: 'second',
        fallback: 'none',
      }),
      key('external-id', 'shop-1', 'ExternalId for the chained roles', { refused: 'a b', fallback: 'none' }),
      key('session-tags', 'team=shop', 'tags told to the chained roles, by commas', {
        refused: 'team',
        fallback: 'none',
      }),
    ],
  },
  gcp: {
    least: { 'workload-identity-provider': 'projects/1/locations/global/workloadIdentityPools/spiffe/providers/spire' },
    keys: [
      key(
        'workload-identity-provider',
        'projects/1/locations/global/workloadIdentityPools/spiffe/providers/spire',
        'the provider, by its full name',
        { refused: 'spire' },
      ),
      audience('`https://iam.googleapis.com/` and the provider'),
      key('scope', 'https://www.googleapis.com/auth/devstorage.read_only', 'scopes, separated by single spaces', {
        refused: ' x',
        fallback: '`https://www.googleapis.com/auth/cloud-platform`',
      }),
      key('service-account', 'reader@shop.iam.gserviceaccount.com', 'the service account to impersonate', {
        refused: 'reader',
        fallback: 'none: the federated token itself',
      }),
      endpoint('token-endpoint', '`https://sts.googleapis.com/v1/token`', 'another token endpoint'),
      endpoint('impersonation-endpoint', '`https://iamcredentials.googleapis.com`', 'another IAM Credentials endpoint'),
      durationS('60'),
    ],
  },
  azure: {
    least: {
      'tenant-id': '00000000-0000-0000-0000-000000000001',
      'client-id': '00000000-0000-0000-0000-000000000002',
      scope: 'https://graph.microsoft.com/.default',
    },
    keys: [
      key('tenant-id', '00000000-0000-0000-0000-000000000001', 'the tenant', { refused: 'contoso' }),
      key('client-id', '00000000-0000-0000-0000-000000000002', 'the application, or the managed identity', {
        refused: 'app',
      }),
      key('scope', 'https://graph.microsoft.com/.default', 'scopes, separated by single spaces', { refused: ' x' }),
      audience('`api://AzureADTokenExchange`'),
      endpoint('authority', '`https://login.microsoftonline.com`', 'another cloud'),
    ],
  },
  vault: {
    least: { audience: 'vault', address: 'https://vault.example.org', role: 'reader', path: 'secret/data/shop/db' },
    keys: [
      audience(),
      key('address', 'https://vault.example.org', 'the server', { refused: 'http://vault.example.org' }),
      key('role', 'reader', 'the role of the JWT method', { refused: 'a b' }),
      key('mount', 'spiffe', 'where the JWT method is mounted', { refused: '/x', fallback: '`jwt`' }),
      key('path', 'database/creds/reader', 'what is read', { refused: '../sys/seal' }),
      key('vault-namespace', 'team-a', 'namespace of Vault Enterprise', { refused: 'a b', fallback: 'none' }),
    ],
  },
  oidc: {
    least: { audience: 'https://sso.example.org', 'token-endpoint': 'https://sso.example.org/token' },
    keys: [
      audience(),
      key('token-endpoint', 'https://sso.example.org/token', 'where it is traded', {
        refused: 'http://sso.example.org/token',
      }),
      key('grant', 'client-credentials', '`token-exchange` (RFC 8693) or `client-credentials` (RFC 7523)', {
        refused: 'password',
        fallback: '`token-exchange`',
      }),
      key('client-assertion', 'jwt-spiffe', '`jwt-bearer` or `jwt-spiffe`', {
        refused: 'secret',
        fallback: '`jwt-bearer`',
      }),
      key('client-id', 'shop', 'the client', { refused: 'a b', fallback: 'none' }),
      key('target-audience', 'orders', 'audience of the token that is given', { refused: 'a b', fallback: 'none' }),
      endpoint('resource', 'none', 'resource indicator (RFC 8707)'),
      key('scope', 'orders.read', 'scopes, separated by single spaces', { refused: ' x', fallback: 'none' }),
    ],
  },
  'jwt-svid': { least: { audience: 'orders' }, keys: [audience()] },
}

const parseCredentials = (provider: string) => (config: Readonly<Record<string, string>>) =>
  parseCredentialsConfig([entryOf(credentials, { provider, ...config })], { loopbackEndpoints: false })[0]

const store = (name: string, meaning: string, range: { refused: string; fallback: string; example: string }) =>
  key(name, range.example, meaning, { refused: range.refused, fallback: range.fallback })
const scopeKeys = [
  key('bucket', 'carts', 'this bucket for all who name it, and no other; instead of `scope`', {
    refused: 'herald_x',
    fallback: 'whatever the guest names, within `scope`',
  }),
  key('scope', 'workload', 'whose buckets they are: `namespace` or `workload`', {
    refused: 'host',
    fallback: '`namespace`',
  }),
]
const replicas = store('replicas', 'copies in NATS, 1 to 5', { example: '3', refused: '6', fallback: '`1`' })
const storage = key('storage', 'memory', '`file` or `memory`', { refused: 'disk', fallback: '`file`' })
const ownConnection = (audience: string, id: string) => [
  key(
    audience,
    'nats',
    'the component connects by itself, with its own SVID for this audience: [NATS](federation/nats.md)',
    {
      refused: 'two words',
      fallback: "none: the host's connection",
    },
  ),
  key(id, 'spiffe://example.org/default/api', 'the same as the one SPIFFE ID to be when several entries match', {
    refused: 'example.org/api',
    fallback: 'none; several are refused',
  }),
]
const root = key('root', '/srv/data', 'a directory below one of `--allow-host-path`')
const backend = (value: string) =>
  key('backend', value, `\`${value}\``, { refused: 'none', fallback: '`nats` on a host with NATS, else `in-memory`' })
const valueBytes = store('max-value-bytes', 'largest value', { example: '1024', refused: '0', fallback: '`1048576`' })
const objectBytes = store('max-object-bytes', 'largest object', {
  example: '1024',
  refused: '0',
  fallback: '`67108864`',
})

function keyvalueSection(
  name: KeyvalueBackend,
  least: Readonly<Record<string, string>>,
  keys: readonly ConfigKey[],
): ConfigSection {
  return backedSection(
    {
      title: `wasi:keyvalue, backend ${name}`,
      entry: keyvalue,
      name,
      least,
      keys: [...scopeKeys, valueBytes, ...keys],
    },
    (settings) => parseKeyvalueEntry(settings, 'in-memory'),
  )
}

function blobstoreSection(
  name: BlobstoreBackend,
  least: Readonly<Record<string, string>>,
  keys: readonly ConfigKey[],
): ConfigSection {
  return backedSection(
    { title: `wasi:blobstore, backend ${name}`, entry: blobstore, name, least, keys: [objectBytes, ...keys] },
    (settings) => parseBlobstoreEntry(settings, 'in-memory'),
  )
}

function backedSection(
  { name, ...section }: Pick<ConfigSection, 'title' | 'entry' | 'least' | 'keys'> & { readonly name: string },
  parse: (settings: EntrySettings) => { readonly settings: EntrySettings },
): ConfigSection {
  const all = section.entry === keyvalue ? keyvalueConfigKeys : Object.keys(blobstoreKeys)
  const takes = (each: string): boolean => {
    try {
      parse(new EntrySettings(entryOf(section.entry, { ...section.least, backend: name, [each]: ' ' }), all))
      return true
    } catch (error) {
      return !String(error).includes(`${each} is not for the backend`)
    }
  }
  return {
    ...section,
    keys: [backend(name), ...section.keys],
    known: all.filter(takes),
    parse: (config) => {
      const { settings: _, ...values } = parse(
        new EntrySettings(entryOf(section.entry, { backend: name, ...config }), all),
      )
      return values
    },
  }
}

/** Every package whose entries have keys, in the order of the reference. */
export const configSections: readonly ConfigSection[] = [
  {
    title: 'wasi:http',
    entry: http,
    least: {},
    known: ['host', 'host-aliases'],
    keys: [
      key('host', 'shop.example.org', 'the Host header it answers to; `*`: any', {
        refused: 'https://shop.example.org',
        fallback: '`*`',
      }),
      key('host-aliases', 'www.example.org, shop', 'further ones, by commas', { refused: 'a b', fallback: 'none' }),
    ],
    parse: (config) => {
      const hosts = httpHostsOf(entryOf(http, config))
      if (hosts === undefined) throw new Error(`${Object.keys(config).join(', ')}: no host name`)
      return hosts
    },
  },
  {
    title: 'wasmcloud:identity',
    entry: identity,
    least: { audiences: 'sts.amazonaws.com' },
    known: ['audiences', 'spiffe-id'],
    keys: [
      key(
        'audiences',
        'sts.amazonaws.com, spiffe://example.org/ledger',
        'every audience that tokens may be asked for, by commas',
        { refused: ' ' },
      ),
      spiffeId,
    ],
    parse: (config) => parseIdentityConfig('api', [entryOf(identity, config)]),
  },
  {
    title: 'herald:identity',
    entry: heraldIdentity,
    least: {},
    known: ['spiffe-id'],
    keys: [spiffeId],
    parse: (config) => parseHeraldIdentityConfig([entryOf(heraldIdentity, config)]),
  },
  ...Object.entries(bindings).map(
    ([provider, { least, keys }]): ConfigSection => ({
      title: `herald:credentials, provider ${provider}`,
      entry: credentials,
      least,
      known: [
        'provider',
        'spiffe-id',
        ...bindingKeys[provider as keyof typeof bindingKeys].filter((each) => each !== 'provider'),
      ],
      keys: [key('provider', provider, `\`${provider}\``, { refused: 'none' }), ...keys, spiffeId],
      parse: parseCredentials(provider),
    }),
  ),
  {
    title: 'herald:cell',
    entry: cell,
    least: {},
    known: cellSettingKeys,
    keys: [
      key(
        'memory-limit',
        '64Mi',
        'cap on each linear memory of its components; more than the host gives (`--memory-limit`) is not to be had',
        { refused: '64', fallback: "the host's" },
      ),
      key(
        'cpu-limit',
        '200m',
        'thousandths of a processor that its cell may use over time; beyond, its requests wait, and too many are answered 503. More than the host gives (`--cpu-limit`) is not to be had',
        { refused: '0.2', fallback: "the host's" },
      ),
      key(
        'isolation',
        'process',
        'its cells are processes of the operating system with no permission that the workload was not granted, or `thread`s of the host. The stricter of this and of what the host says (`--isolation`) holds',
        { refused: 'container', fallback: "the host's `--isolation`" },
      ),
      key(
        'idle-timeout',
        '30s',
        'without a request for so long the workload gives its thread back, and the next request waits for another; or `never`',
        { refused: '30', fallback: "the host's `--idle-timeout`" },
      ),
      key(
        'listen',
        '127.0.0.1:9000',
        'the component that serves HTTP listens there itself, and is reached without the ingress; the host must allow it (`--allow-listen`). Or a port of 127.0.0.1, or `:9000` for all addresses',
        { refused: 'localhost:9000', fallback: 'only the ingress reaches it' },
      ),
    ],
    parse: (config) => parseCellSettings([entryOf(cell, config)]),
  },
  {
    title: 'herald:egress',
    entry: egress,
    least: { host: 'https://orders.example.com', 'bearer-audience': 'https://orders.example.com' },
    known: ['host', 'bearer-audience', 'spiffe-id'],
    keys: [
      key(
        'host',
        'https://orders.example.com',
        'the origin whose requests are signed; `allowedHosts` must allow it too',
        { refused: 'https://orders.example.com/v1' },
      ),
      key(
        'bearer-audience',
        'https://orders.example.com',
        'the SVID for this audience is the bearer token; or the keys below',
        { refused: 'two words' },
      ),
      spiffeId,
    ],
    parse: (config) => parseEgressConfig([entryOf(egress, config)], { loopbackEndpoints: false })[0],
  },
  {
    title: 'herald:egress, by a client certificate',
    entry: egress,
    least: { host: 'https://ledger.example.com', 'client-certificate': 'x509-svid' },
    known: ['host', 'client-certificate', 'server-spiffe-id', 'spiffe-id'],
    keys: [
      key('host', 'https://ledger.example.com', 'as above; https only', { refused: 'http://localhost' }),
      key('client-certificate', 'x509-svid', "mutual TLS with the component's X.509-SVID", { refused: 'file' }),
      key(
        'server-spiffe-id',
        'spiffe://example.org/ledger',
        'who the server must be, by the authorities of that trust domain and no others',
        { refused: 'ledger', fallback: "its host name, by the system's authorities" },
      ),
      spiffeId,
    ],
    parse: (config) => parseEgressConfig([entryOf(egress, config)], { loopbackEndpoints: false })[0],
  },
  {
    title: 'herald:egress, by a provider',
    entry: egress,
    least: {
      host: 'https://letters.s3.eu-central-1.amazonaws.com',
      provider: 'aws',
      'role-arn': 'arn:aws:iam::123456789012:role/reader',
      region: 'eu-central-1',
      'sigv4-service': 's3',
    },
    known: ['host', 'provider', 'sigv4-service', 'sigv4-region', 'spiffe-id'],
    keys: [
      key('host', 'https://letters.s3.eu-central-1.amazonaws.com', 'as above', { refused: 'letters' }),
      key(
        'provider',
        'aws',
        '`aws` (Signature Version 4), `gcp`, `azure`, `oidc`, `jwt-svid` (bearer tokens), with its keys from above',
        { refused: 'none' },
      ),
      key('sigv4-service', 's3', 'for `aws`: the signing name of the service; required there', { refused: 'S3' }),
      key('sigv4-region', 'us-east-1', 'for `aws`: another region to sign for', {
        refused: 'US',
        fallback: '`region`',
      }),
      spiffeId,
    ],
    parse: (config) => parseEgressConfig([entryOf(egress, config)], { loopbackEndpoints: false })[0],
  },
  keyvalueSection('nats', {}, [
    store('max-bytes', 'largest bucket', { example: '1024', refused: '0', fallback: 'no limit of its own' }),
    store('ttl-s', 'seconds after which a value is gone', { example: '3600', refused: '0', fallback: 'never' }),
    replicas,
    storage,
    ...ownConnection('nats-audience', 'spiffe-id'),
  ]),
  keyvalueSection('in-memory', {}, [
    store('max-bytes', 'largest bucket', { example: '1024', refused: '0', fallback: '64 MiB' }),
  ]),
  keyvalueSection('filesystem', { root: '/srv/data' }, [root]),
  keyvalueSection('redis', { url: 'redis://redis:6379' }, [
    key('url', 'redis://redis:6379/0', 'the server; `rediss://` with TLS', { refused: 'http://redis' }),
    key('username', 'shop', 'the user', { fallback: 'of the URL' }),
    key('password', 'by secretFrom', 'the password; give it by `secretFrom`', { fallback: 'of the URL' }),
    key('prefix', 'shop:', 'what keys begin with, for keys of other programs; instead of `bucket`', {
      refused: 'a b',
      fallback: 'made of namespace and bucket',
    }),
  ]),
  blobstoreSection('nats', {}, [...scopeKeys, replicas, storage, ...ownConnection('nats-audience', 'spiffe-id')]),
  blobstoreSection('in-memory', {}, [
    ...scopeKeys,
    store('max-bytes', 'largest container', { example: '1024', refused: '0', fallback: '`268435456`' }),
  ]),
  blobstoreSection('filesystem', { root: '/srv/data' }, [...scopeKeys, root]),
  blobstoreSection(
    's3',
    { bucket: 'letters', 'role-arn': 'arn:aws:iam::123456789012:role/reader', region: 'eu-central-1' },
    [
      key('bucket', 'letters', 'the S3 bucket that holds all containers', { refused: 'Letters' }),
      key('scope', 'workload', 'whose containers they are: `namespace` or `workload`', {
        refused: 'host',
        fallback: '`namespace`',
      }),
      key('endpoint', 'https://s3.example.org', 'another store', {
        refused: 'http://s3.example.org',
        fallback: "the region's own",
      }),
      ...awsKeys,
    ],
  ),
  {
    title: 'wasmcloud:messaging',
    entry: messaging,
    least: {},
    known: messagingKeys,
    keys: [
      key('subscriptions', 'orders.created, orders.*', 'subjects whose messages the component handles', {
        refused: '>',
        fallback: 'none',
      }),
      key('consumer_group', 'broadcast', 'the queue group; `broadcast`: none, all get each message', {
        refused: 'a b',
        fallback: 'one for all replicas of the component',
      }),
      key('publish', 'orders.>', 'where it may publish and ask; the inbox of what it handles is always allowed', {
        refused: '$SYS.x',
        fallback: 'nowhere',
      }),
      key('max_in_flight', '64', 'messages that it works on at a time, 1 to 1024', { refused: '0', fallback: '`512`' }),
      key('max_waiting', '1000', 'messages that wait in the host', { refused: '0', fallback: '`8192`' }),
      ...ownConnection('nats_audience', 'spiffe_id'),
    ],
    parse: (config) => parseMessagingEntry(new EntrySettings(entryOf(messaging, config), messagingKeys), facts),
  },
  {
    title: 'wasi:logging',
    entry: logging,
    least: {},
    known: loggingKeys,
    keys: [
      key('level', 'info', 'the least that is logged: `trace`, `debug`, `info`, `warn`, `error` or `critical`', {
        refused: 'loud',
        fallback: '`trace`',
      }),
      key('rate', '50', 'lines a second', { refused: '0', fallback: '`200`' }),
      key('burst', '100', 'lines at once', { refused: '0', fallback: '`400`' }),
    ],
    parse: async (config) =>
      (await createLoggingCapability({ log }).configure(facts, [entryOf(logging, config)], never)).config,
  },
  {
    title: 'wasmcloud:secrets',
    entry: secrets,
    least: { root: '/srv/data', keys: 'password' },
    known: secretsKeys,
    keys: [
      key('root', '/srv/data', 'a mounted directory below one of `--allow-host-path`', {
        fallback: 'every key of `config` is a secret, as `secretFrom` puts them there',
      }),
      key('keys', 'password, api-key', 'names of the files that may be read', { refused: '../x' }),
    ],
    parse: async (config) => {
      // A directory that is there stands for the example's.
      const existing = { ...config, root: import.meta.dirname }
      await createSecretsCapability({ log, allowedHostPaths: ['/'] }).configure(
        facts,
        [entryOf(secrets, existing)],
        never,
      )
      return config
    },
  },
  {
    title: 'wasi:config',
    entry: { namespace: 'wasi', package: 'config', interfaces: ['store'], version: '0.2.0-rc.1' },
    least: {},
    known: [],
    keys: [],
    parse: (config) => config,
  },
  {
    title: 'acme:ledger, or whatever interface of your own: calls between components',
    entry: ledger,
    least: {},
    known: callsKeys,
    keys: [
      key('component', 'ledger', 'of an import: the component of this workload that serves it', {
        fallback: 'the only one that exports it',
      }),
      key('callee', 'spiffe://example.org/default/ledger', 'of an import: who serves it, in another workload', {
        refused: 'ledger',
        fallback: 'a component of this workload',
      }),
      key(
        'callers',
        'spiffe://example.org/default/teller, spiffe://example.org/team-a/*',
        'of an export: who may call',
        {
          refused: '*',
          fallback: 'nobody of another workload',
        },
      ),
      spiffeId,
      key('timeout-ms', '5000', 'the longest that one call takes, 1 to 600,000', { refused: '0', fallback: '`30000`' }),
      key('max-in-flight', '128', 'calls at a time, 1 to 4,096', { refused: '0', fallback: '`64`' }),
    ],
    parse: (config) => parseCallsEntry(entryOf(ledger, config)),
  },
]
