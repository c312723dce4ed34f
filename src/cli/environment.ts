import { homedir, tmpdir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'

/** All that the command takes from its surroundings: the one file that reads the command line and the environment. */
export type CliEnvironment = {
  /** Command line, without the interpreter and the script. */
  readonly args: readonly string[]
  readonly cwd: string
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** `NO_COLOR` (no-color.org): set and not empty. */
  readonly noColor: boolean
  /** `KUBERNETES_SERVICE_HOST` is set: the process runs in a pod. */
  readonly inKubernetes: boolean
  /** `SPIRE_ADMIN_ENDPOINT_SOCKET`: the default of `--spire-admin-socket`. */
  readonly spireAdminSocket: string | undefined
  /** `SPIFFE_ENDPOINT_SOCKET`: the default of `--spire-workload-socket`. */
  readonly spiffeEndpointSocket?: string | undefined
  /** `HERALD_HOST_…`, as they are, without empty ones: settings of `herald host`. */
  readonly hostVariables?: Readonly<Record<string, string>>
  /** Where sockets of this user stand: `$XDG_RUNTIME_DIR/herald`, else a directory of the user under the temporary one. */
  readonly runtimeDirectory: string
  /** `HERALD_NATS_URL`: the default of `--nats` of commands over the lattice; several with commas. */
  readonly natsUrls: readonly string[] | undefined
  /** `HERALD_CONTEXT`: the default of `--context`. */
  readonly context: string | undefined
  /** Contexts: `$XDG_CONFIG_HOME/herald/contexts.yaml`, else under `~/.config`. */
  readonly contextsFile: string
  /** What is kept: `$XDG_DATA_HOME/herald`, else `~/.local/share/herald`. */
  readonly dataDirectory: string
}

export type OutputStream = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }

export function readEnvironment(): CliEnvironment {
  const { env, argv } = process
  const given = (name: string): string | undefined => (env[name] === '' ? undefined : env[name])
  const runtime = given('XDG_RUNTIME_DIR')
  return {
    args: argv.slice(2),
    cwd: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    noColor: given('NO_COLOR') !== undefined,
    inKubernetes: given('KUBERNETES_SERVICE_HOST') !== undefined,
    spireAdminSocket: given('SPIRE_ADMIN_ENDPOINT_SOCKET'),
    spiffeEndpointSocket: given('SPIFFE_ENDPOINT_SOCKET'),
    hostVariables: Object.fromEntries(
      Object.entries(env).flatMap(([name, value]) => (name.startsWith('HERALD_HOST_') && value ? [[name, value]] : [])),
    ),
    natsUrls: given('HERALD_NATS_URL')
      ?.split(',')
      .map((url) => url.trim()),
    context: given('HERALD_CONTEXT'),
    contextsFile: join(given('XDG_CONFIG_HOME') ?? join(homeDirectory(), '.config'), 'herald', 'contexts.yaml'),
    dataDirectory: join(given('XDG_DATA_HOME') ?? join(homeDirectory(), '.local', 'share'), 'herald'),
    runtimeDirectory: runtime === undefined ? join(tmpdir(), `herald-${userId()}`) : join(runtime, 'herald'),
  }
}

/** What pulling images takes from the surroundings. */
export type RegistryEnvironment = {
  /** See {@link readCacheDirectory}. */
  readonly cacheDirectory: string
  /** `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`: credentials of registries. */
  readonly dockerConfigPath: string
  /** `PATH`: where credential helpers are looked for. */
  readonly programDirectories: readonly string[]
  /** What a credential helper gets as its environment: all of this process's, as from a shell. */
  readonly helperEnvironment: Readonly<Record<string, string>>
}

/** What may be lost and made again: `$XDG_CACHE_HOME/herald`, else `~/.cache/herald`. */
export function readCacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homeDirectory(), '.cache'), 'herald')
}

export function readRegistryEnvironment(): RegistryEnvironment {
  const { env } = process
  const given = (name: string): string | undefined => (env[name] === '' ? undefined : env[name])
  return {
    cacheDirectory: readCacheDirectory(),
    dockerConfigPath: join(given('DOCKER_CONFIG') ?? join(homeDirectory(), '.docker'), 'config.json'),
    programDirectories: (given('PATH') ?? '').split(delimiter).filter((directory) => isAbsolute(directory)),
    helperEnvironment: Object.fromEntries(
      Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  }
}

/** A pod may run with a user id that no machine knows, and without HOME: what would stand at home stands under the temporary directory then. */
function homeDirectory(): string {
  try {
    return homedir()
  } catch {
    return join(tmpdir(), `herald-home-${userId()}`)
  }
}

/** Not by `userInfo`, which fails for such a user. */
const userId = (): string => String(process.getuid?.() ?? 'user')

/** `OTEL_…`: what OpenTelemetry's specification names; see {@link otlpSettings}. */
export function readTelemetryVariables(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      name.startsWith('OTEL_') && value !== undefined && value !== '' ? [[name, value]] : [],
    ),
  )
}

/** What compilers get: all of this process's environment, as from a shell. */
export function readBuildEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}
