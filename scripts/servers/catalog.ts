/** One server of the tests: a wrapper Go module in `test/servers/<name>/` that pins it, and the programs built from it. */
export interface ServerBuild {
  /** The module whose version in the wrapper's go.mod is the server's version. */
  readonly module: string
  /** Program name, as `go build -o DIR/` names it, to the import path of its main package. */
  readonly programs: Readonly<Record<string, string>>
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
  nats: {
    module: 'github.com/nats-io/nats-server/v2',
    programs: { 'nats-server': 'github.com/nats-io/nats-server/v2' },
  },
  registry: {
    module: 'github.com/distribution/distribution/v3',
    programs: { registry: 'github.com/distribution/distribution/v3/cmd/registry' },
  },
} as const satisfies Record<string, ServerBuild>

export type ServerName = keyof typeof serverBuilds

type ProgramsOf<Name extends ServerName> = keyof (typeof serverBuilds)[Name]['programs']
/** A program that one of the servers consists of, such as `spire-agent`. */
export type ProgramName = { [Name in ServerName]: ProgramsOf<Name> }[ServerName] & string

export const serverNames = Object.keys(serverBuilds) as readonly ServerName[]

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
