import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from './free-port.ts'
import { startLog } from './log.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export interface NatsOptions {
  /** With a store in a temporary folder that outlives `restart()`; default false. */
  readonly jetstream?: boolean
  /** More of a nats-server configuration file: accounts, authorization, auth_callout, tls. */
  readonly config?: string
  /** Makes the server one of a cluster; the routes are `clusterUrl`s of others already started. */
  readonly cluster?: {
    readonly name: string
    readonly routes?: readonly string[]
    /** Of its routes. Default: a free one. */
    readonly port?: number
  }
}

/** A real NATS server on a loopback port. Disposal kills it and removes its data. */
export interface Nats extends AsyncDisposable {
  /** `nats://127.0.0.1:<port>`, the same after a restart. */
  readonly url: string
  readonly clusterUrl: string | undefined
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>
  /** Starts it again with the same port and data, after a `stop` or `kill` or by stopping it first. */
  restart(): Promise<void>
  logs(): string
}

/** Starts nats-server 2.14.5. @throws with the end of its log if it does not become ready, for instance by a fault in `config`. */
export async function startNats(options: NatsOptions = {}): Promise<Nats> {
  const programs = await buildServer('nats')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const [port, clusterPort] = [await freePort(), options.cluster?.port ?? (await freePort())]
  const configPath = join(directory, 'nats.conf')
  writeFileSync(configPath, natsConfig(options, { port, clusterPort, storeDirectory: join(directory, 'jetstream') }))
  const log = startLog('nats-server')

  let server: ServerProcess | undefined
  cleanup.defer(async () => server?.kill())
  const start = async () => {
    server = await startServerProcess({
      name: 'nats-server',
      program: join(programs, 'nats-server'),
      args: ['-c', configPath],
      log,
      isReady: () => greets(port),
    })
  }
  await start()

  const owned = cleanup.move()
  return {
    url: `nats://127.0.0.1:${port}`,
    clusterUrl: options.cluster && `nats-route://127.0.0.1:${clusterPort}`,
    stop: async () => server?.stop(),
    kill: async () => server?.kill(),
    async restart() {
      await server?.stop()
      await start()
    },
    logs: () => log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function natsConfig(
  { jetstream = false, config = '', cluster }: NatsOptions,
  { port, clusterPort, storeDirectory }: { port: number; clusterPort: number; storeDirectory: string },
): string {
  const routes = cluster?.routes?.map((route) => JSON.stringify(route)).join(', ') ?? ''
  return [
    `listen: "127.0.0.1:${port}"`,
    `server_name: "nats-${port}"`,
    jetstream && `jetstream { store_dir: ${JSON.stringify(storeDirectory)} }`,
    cluster &&
      `cluster { name: ${JSON.stringify(cluster.name)}, listen: "127.0.0.1:${clusterPort}", routes: [${routes}] }`,
    config,
  ]
    .filter(Boolean)
    .join('\n')
}

/** Whether a NATS server says its INFO to who connects. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().startsWith('INFO '))
    })
    socket.once('close', () => resolve(false))
  })
}
