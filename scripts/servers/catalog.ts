/** One server of the tests: a wrapper Go module in `test/servers/<name>/` that pins it, and the programs built from it. */
export interface ServerBuild {
  /** The module whose version in the wrapper's go.mod is the server's version. */
  readonly module: string
  /** Program name, as `go build -o DIR/` names it, to the import path of its main package. */
  readonly programs: Readonly<Record<string, string>>
  /** More for `go build -ldflags`: versions that the upstream build stamps and a build from the module does not have. */
  readonly linkerFlags?: string
  /** Why a C compiler is needed; absent when none is. */
  readonly needsCompilerFor?: string
}

/** Every server that can be built, by the name that the command line takes. Versions live in the go.mod files only. */
export const serverBuilds = {
  spire: {
    module: 'github.com/spiffe/spire',
    programs: {
      'spire-server': 'github.com/spiffe/spire/cmd/spire-server',
      'spire-agent': 'github.com/spiffe/spire/cmd/spire-agent',
      'oidc-discovery-provider': 'github.com/spiffe/spire/support/oidc-discovery-provider',
    },
    needsCompilerFor: "the server's SQLite data store",
  },
  minio: { module: 'github.com/minio/minio', programs: { minio: 'github.com/minio/minio' } },
  // Vault's core with auth/jwt only: some modules of the whole one cannot be had from the Go module proxy.
  vault: { module: 'github.com/hashicorp/vault', programs: { vault: '.' } },
  nats: {
    module: 'github.com/nats-io/nats-server/v2',
    programs: { 'nats-server': 'github.com/nats-io/nats-server/v2' },
  },
  registry: {
    module: 'github.com/distribution/distribution/v3',
    programs: { registry: 'github.com/distribution/distribution/v3/cmd/registry' },
  },
  etcd: { module: 'go.etcd.io/etcd/server/v3', programs: { etcd: '.' } },
  'kube-apiserver': {
    module: 'k8s.io/kubernetes',
    programs: { 'kube-apiserver': './kube-apiserver', kubectl: './kubectl' },
    linkerFlags: ['gitVersion=v1.34.2', 'gitMajor=1', 'gitMinor=34', 'gitTreeState=clean']
      .map((setting) => `-X k8s.io/component-base/version.${setting}`)
      .join(' '),
  },
  'otlp-receiver': {
    module: 'go.opentelemetry.io/collector/receiver/otlpreceiver',
    programs: { 'otlp-receiver': '.' },
  },
  helm: { module: 'helm.sh/helm/v4', programs: { helm: 'helm.sh/helm/v4/cmd/helm' } },
  kubeconform: {
    module: 'github.com/yannh/kubeconform',
    programs: { kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform' },
  },
} as const satisfies Record<string, ServerBuild>

export type ServerName = keyof typeof serverBuilds

type ProgramsOf<Name extends ServerName> = keyof (typeof serverBuilds)[Name]['programs']
/** A program that one of the servers consists of, such as `spire-agent`. */
export type ProgramName = { [Name in ServerName]: ProgramsOf<Name> }[ServerName] & string

export const serverNames = Object.keys(serverBuilds) as readonly ServerName[]

/** Those that `npm test` runs, in the order in which to build them; the others are for trying charts out. */
export const serversOfTestRun = [
  'spire',
  'minio',
  'vault',
  'nats',
  'registry',
  'otlp-receiver',
  'etcd',
  'kube-apiserver',
  'helm',
  'kubeconform',
] as const satisfies readonly ServerName[]

/** @throws if there is no such server; the message lists those there are. */
export function parseServerName(text: string): ServerName {
  const name = serverNames.find((candidate) => candidate === text)
  if (name === undefined) throw new Error(`there is no server '${text}'; there are: ${serverNames.join(', ')}`)
  return name
}

/** The server that a program belongs to. @throws if no server has it; the message lists all programs. */
export function serverOfProgram(program: string): ServerName {
  const owner = serverNames.find((name) => program in serverBuilds[name].programs)
  if (owner !== undefined) return owner
  const all = serverNames.flatMap((name) => Object.keys(serverBuilds[name].programs))
  throw new Error(`there is no program '${program}'; there are: ${all.join(', ')}`)
}
