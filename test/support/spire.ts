import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { freePort } from './free-port.ts'
import { startLog } from './log.ts'
import { socketAccepts, urlAnswers } from './reachable.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'
import { agentConfig, oidcConfig, type SpireLayout, serverConfig } from './spire-config.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export interface SpireOptions {
  /** Default `example.org`. */
  readonly trustDomain?: string
  /** A Go duration, default `1m`: the lifetime of a JWT-SVID whose entry says nothing else. */
  readonly defaultJwtSvidTtl?: string
  /** A Go duration, default `24h`. SPIRE caps a token's `exp` by its signing key, so keep this at six lifetimes or more. */
  readonly caTtl?: string
  /** SPIFFE IDs that may use the admin socket; default only the host's. */
  readonly authorizedDelegates?: readonly string[]
  /** Whether the host (this process, by its uid) has an entry; default true. */
  readonly hostEntry?: boolean
  /** Whether SPIRE's OIDC discovery provider runs; default true. */
  readonly oidc?: boolean
  /** Whether the agent runs from the beginning; default true. Without it the admin socket is absent until `startAgent()`. */
  readonly agent?: boolean
  /** A Go duration, default `100ms`: how often the server reads its entries for agents (SPIRE's own default is 5 s). */
  readonly cacheReloadInterval?: string
  /** How many SVIDs of either kind the agent keeps for components; default SPIRE's own, 1,000. */
  readonly svidCacheSize?: number
  /** Whether its server serves its bundle by `https_spiffe`; default false. */
  readonly bundleEndpoint?: boolean
  /** A Go duration, default `1s`: how often the agent asks the server for its entries (SPIRE's own default is 5 s). */
  readonly syncInterval?: string
}

export interface NewEntry {
  readonly spiffeId: string
  /** Default: the host's SPIFFE ID, as for every component. */
  readonly parentId?: string
  /** As SPIRE writes them: `wasmcloud:component:api-gateway`. */
  readonly selectors: readonly string[]
  readonly jwtSvidTtlS?: number
  readonly x509SvidTtlS?: number
  readonly hint?: string
  /** Default true: resolve only once the agent serves the entry (if it runs), not when the server merely knows it. */
  readonly waitForAgent?: boolean
}

/** An entry as `spire-server entry show -output json` gives it, the part that tests ask for. */
export interface Entry {
  readonly id: string
  readonly spiffeId: string
  readonly parentId: string
  readonly selectors: readonly string[]
}

/** A real SPIRE server, agent and OIDC discovery provider on loopback ports, in a folder of their own. Disposal ends all and removes it. */
export interface Spire extends AsyncDisposable {
  readonly trustDomain: string
  /** The delegate's: `spiffe://<trust domain>/wasm-host`. */
  readonly hostSpiffeId: string
  readonly agentSpiffeId: string
  /** The agent's admin socket, where the Delegated Identity API is. */
  readonly adminSocketPath: string
  /** The agent's Workload API socket. */
  readonly workloadSocketPath: string
  readonly serverSocketPath: string
  /** `iss` of every token, and the base URL of the OIDC discovery provider. */
  readonly issuer: string
  /** `<issuer>/.well-known/openid-configuration` */
  readonly discoveryUrl: string
  /** Where its bundle is served, if it is. */
  readonly bundleEndpointUrl: string | undefined
  /** By `spire-server entry create`. @returns the entry's id. */
  createEntry(entry: NewEntry): Promise<string>
  /** By `spire-server entry delete`; resolves once the server has done it: the agent follows within a sync interval or two. */
  deleteEntry(id: string): Promise<void>
  listEntries(): Promise<readonly Entry[]>
  /** A token signed by the server for any SPIFFE ID, without an entry (`spire-server jwt mint`). Do not log it. */
  mintJwtSvid(svid: { spiffeId: string; audience: string; ttlS?: number }): Promise<string>
  /** Files of an X.509-SVID for any SPIFFE ID, without an entry (`spire-server x509 mint`), in a folder of this SPIRE. For servers. */
  mintX509Svid(svid: {
    spiffeId: string
    dns?: string
    ttlS?: number
  }): Promise<{ certFile: string; keyFile: string; bundleFile: string }>
  /** The token that the agent's Workload API gives this process, with the host's SPIFFE ID (`spire-agent api fetch jwt`). Do not log it. */
  fetchHostJwtSvid(audience: string): Promise<string>
  /** Starts the agent with the same data directory; resolves once its admin socket accepts connections and it has the host's entry, if there is one. */
  startAgent(): Promise<void>
  /** SIGTERM, and waits for the end. */
  stopAgent(): Promise<void>
  /** SIGKILL, and waits for the end; the sockets' files stay behind, as after a crash. */
  killAgent(): Promise<void>
  /** Starts the server with the same data and port. */
  startServer(): Promise<void>
  stopServer(): Promise<void>
  serverLogs(): string
  agentLogs(): string
  oidcLogs(): string
}

/** Starts SPIRE 1.15.3, built before if need be. @throws if one of its programs does not become ready, with the end of its log. */
export async function startSpire(options: SpireOptions = {}): Promise<Spire> {
  const programs = await buildServer('spire')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const trustDomain = options.trustDomain ?? 'example.org'
  const hostSpiffeId = `spiffe://${trustDomain}/wasm-host`
  const agentSpiffeId = `spiffe://${trustDomain}/agent-a`
  const [serverPort, oidcPort] = [await freePort(), await freePort()]
  const layout: SpireLayout = {
    directory,
    trustDomain,
    serverPort,
    oidcPort,
    defaultJwtSvidTtl: options.defaultJwtSvidTtl ?? '1m',
    caTtl: options.caTtl ?? '24h',
    authorizedDelegates: options.authorizedDelegates ?? [hostSpiffeId],
    syncInterval: options.syncInterval ?? '1s',
    cacheReloadInterval: options.cacheReloadInterval ?? '100ms',
    svidCacheSize: options.svidCacheSize,
    serverSocketPath: join(directory, 'server', 'api.sock'),
    workloadSocketPath: join(directory, 'agent-public', 'api.sock'),
    adminSocketPath: join(directory, 'agent-admin', 'admin.sock'),
    issuer: `http://localhost:${oidcPort}`,
    bundlePort: options.bundleEndpoint === true ? await freePort() : undefined,
  }
  for (const folder of ['server', 'agent', 'agent-public', 'agent-admin']) mkdirSync(join(directory, folder))
  const configPath = (name: string) => join(directory, `${name}.conf`)
  writeFileSync(configPath('server'), serverConfig(layout))
  writeFileSync(configPath('agent'), agentConfig(layout))
  writeFileSync(configPath('oidc'), oidcConfig(layout))

  const logs = { server: startLog('spire-server'), agent: startLog('spire-agent'), oidc: startLog('spire-oidc') }
  const running: { server?: ServerProcess; agent?: ServerProcess; oidc?: ServerProcess } = {}
  cleanup.defer(async () => {
    await Promise.all([running.oidc?.kill(), running.agent?.kill(), running.server?.kill()])
  })

  const spireServer = (...args: readonly string[]) =>
    runToEnd(join(programs, 'spire-server'), [...args, '-socketPath', layout.serverSocketPath])

  async function startServer(): Promise<void> {
    if (isRunning(running.server)) return
    rmSync(layout.serverSocketPath, { force: true })
    running.server = await startServerProcess({
      name: 'spire-server',
      program: join(programs, 'spire-server'),
      args: ['run', '-config', configPath('server')],
      log: logs.server,
      isReady: () => socketAccepts(layout.serverSocketPath),
    })
  }

  async function startOidc(): Promise<void> {
    running.oidc = await startServerProcess({
      name: 'spire-oidc',
      program: join(programs, 'oidc-discovery-provider'),
      args: ['-config', configPath('oidc')],
      log: logs.oidc,
      isReady: (signal) => hasKeys(`${layout.issuer}/keys`, signal),
    })
  }

  let joinToken: string | undefined = ''
  let hostEntryId: string | undefined
  async function startAgent(): Promise<void> {
    if (isRunning(running.agent)) return
    const logLength = logs.agent.text().length
    for (const path of [layout.adminSocketPath, layout.workloadSocketPath]) rmSync(path, { force: true })
    if (joinToken === '') {
      const answer = await spireServer(
        'token',
        'generate',
        '-spiffeID',
        agentSpiffeId,
        '-ttl',
        '3600',
        '-output',
        'json',
      )
      joinToken = (JSON.parse(answer) as { value: string }).value
    }
    running.agent = await startServerProcess({
      name: 'spire-agent',
      program: join(programs, 'spire-agent'),
      args: ['run', '-config', configPath('agent'), ...(joinToken ? ['-joinToken', joinToken] : [])],
      log: logs.agent,
      isReady: () => socketAccepts(layout.adminSocketPath),
    })
    joinToken = undefined
    if (hostEntryId !== undefined) await agentHasSeen(hostEntryId, hostSpiffeId, logLength)
  }

  async function createEntry(entry: NewEntry): Promise<string> {
    const answer = await spireServer(
      ...['entry', 'create', '-spiffeID', entry.spiffeId, '-parentID', entry.parentId ?? hostSpiffeId],
      ...entry.selectors.flatMap((selector) => ['-selector', selector]),
      ...(entry.jwtSvidTtlS === undefined ? [] : ['-jwtSVIDTTL', String(entry.jwtSvidTtlS)]),
      ...(entry.x509SvidTtlS === undefined ? [] : ['-x509SVIDTTL', String(entry.x509SvidTtlS)]),
      ...(entry.hint === undefined ? [] : ['-hint', entry.hint]),
      ...['-output', 'json'],
    )
    const { results } = JSON.parse(answer) as {
      results: { status: { code: number; message: string }; entry: { id: string } }[]
    }
    const result = results[0]
    if (result?.status.code !== 0)
      throw new Error(`spire-server did not create ${entry.spiffeId}: ${result?.status.message}`)
    if (isRunning(running.agent) && entry.waitForAgent !== false) await agentHasSeen(result.entry.id, entry.spiffeId)
    return result.entry.id
  }

  /** The agent's debug log names every entry that it takes over: `msg="Entry created" entry=<id>`. */
  async function agentHasSeen(entryId: string, spiffeId: string, sinceLogLength = 0): Promise<void> {
    const deadline = performance.now() + 20_000
    while (!logs.agent.text().includes(`msg="Entry created" entry=${entryId}`, sinceLogLength)) {
      if (performance.now() > deadline) {
        throw new Error(
          `the agent has not taken over the entry ${entryId} (${spiffeId}) within 20 s. It gets the entries below its own only: ` +
            'is the parent the host, and has the host an entry? Pass waitForAgent: false if it is not meant to see it.',
        )
      }
      await sleep(20)
    }
  }

  async function listEntries(): Promise<readonly Entry[]> {
    const { entries } = JSON.parse(await spireServer('entry', 'show', '-output', 'json')) as { entries: RawEntry[] }
    return entries.map(parseRawEntry)
  }

  await startServer()
  if (options.hostEntry !== false) {
    hostEntryId = await createEntry({
      spiffeId: hostSpiffeId,
      parentId: agentSpiffeId,
      selectors: [`unix:uid:${process.getuid?.()}`],
    })
  }
  await Promise.all([options.oidc !== false && startOidc(), options.agent !== false && startAgent()])

  const owned = cleanup.move()
  return {
    trustDomain,
    hostSpiffeId,
    agentSpiffeId,
    adminSocketPath: layout.adminSocketPath,
    workloadSocketPath: layout.workloadSocketPath,
    serverSocketPath: layout.serverSocketPath,
    issuer: layout.issuer,
    bundleEndpointUrl: layout.bundlePort === undefined ? undefined : `https://127.0.0.1:${layout.bundlePort}`,
    discoveryUrl: `${layout.issuer}/.well-known/openid-configuration`,
    createEntry,
    async deleteEntry(id) {
      await spireServer('entry', 'delete', '-entryID', id)
    },
    listEntries,
    async mintJwtSvid({ spiffeId, audience, ttlS = 300 }) {
      const answer = await spireServer('jwt', 'mint', '-spiffeID', spiffeId, '-audience', audience, '-ttl', `${ttlS}s`)
      return answer.trim()
    },
    async mintX509Svid({ spiffeId, dns, ttlS = 3600 }) {
      const folder = mkdtempSync(join(directory, 'svid-'))
      const name = dns === undefined ? [] : ['-dns', dns]
      await spireServer('x509', 'mint', '-spiffeID', spiffeId, ...name, '-ttl', `${ttlS}s`, '-write', folder)
      const file = (each: string) => join(folder, each)
      return { certFile: file('svid.pem'), keyFile: file('key.pem'), bundleFile: file('bundle.pem') }
    },
    async fetchHostJwtSvid(audience) {
      const args = [
        'api',
        'fetch',
        'jwt',
        '-audience',
        audience,
        '-socketPath',
        layout.workloadSocketPath,
        '-output',
        'json',
      ]
      const answer = JSON.parse(await runToEnd(join(programs, 'spire-agent'), args)) as [{ svids: [{ svid: string }] }]
      return answer[0].svids[0].svid
    },
    startAgent,
    stopAgent: async () => running.agent?.stop(),
    killAgent: async () => running.agent?.kill(),
    startServer,
    stopServer: async () => running.server?.stop(),
    serverLogs: () => logs.server.text(),
    agentLogs: () => logs.agent.text(),
    oidcLogs: () => logs.oidc.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface RawEntry {
  readonly id: string
  readonly spiffe_id: { readonly trust_domain: string; readonly path: string }
  readonly parent_id: { readonly trust_domain: string; readonly path: string }
  readonly selectors: readonly { readonly type: string; readonly value: string }[]
}

function parseRawEntry(raw: RawEntry): Entry {
  const idOf = (id: RawEntry['spiffe_id']) => `spiffe://${id.trust_domain}${id.path}`
  return {
    id: raw.id,
    spiffeId: idOf(raw.spiffe_id),
    parentId: idOf(raw.parent_id),
    selectors: raw.selectors.map(({ type, value }) => `${type}:${value}`),
  }
}

function isRunning(server: ServerProcess | undefined): boolean {
  return server !== undefined && server.exit() === undefined
}

async function hasKeys(url: string, signal: AbortSignal): Promise<boolean> {
  await urlAnswers(url, signal)
  const { keys } = (await (await fetch(url, { signal })).json()) as { keys?: unknown[] }
  return (keys?.length ?? 0) > 0
}

/** @throws if the program fails; the message has its output, which is an error's and no token. */
async function runToEnd(program: string, args: readonly string[]): Promise<string> {
  const result = await runProgram(program, args)
  if (result.exitCode === 0) return result.stdout
  const how = result.startError?.message ?? `exit code ${result.exitCode}`
  throw new Error(`${program} ${args.slice(0, 3).join(' ')} failed (${how}): ${result.output.trim()}`)
}
