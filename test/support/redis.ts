import { ensureDebianPackages } from '../../scripts/servers.ts'
import { freePort } from './free-port.ts'
import { startLog } from './log.ts'
import { socketListens } from './reachable.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A real Redis server on a loopback port, without persistence. Disposal kills it. */
export interface Redis extends AsyncDisposable {
  /** `redis://127.0.0.1:<port>`, the same after a restart. */
  readonly url: string
  kill(): Promise<void>
  /** Starts it again, empty, on the same port. */
  restart(): Promise<void>
}

/** @param options.password asked of everybody; default none. */
export async function startRedis({ password }: { readonly password?: string } = {}): Promise<Redis> {
  await ensureDebianPackages(['redis-server'])
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const port = await freePort()
  const log = startLog('redis-server')
  let server: ServerProcess | undefined
  cleanup.defer(async () => server?.kill())
  const start = async () => {
    server = await startServerProcess({
      name: 'redis-server',
      program: '/usr/bin/redis-server',
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'],
        ...(password === undefined ? [] : ['--requirepass', password]),
      ],
      log,
      isReady: () => socketListens(port),
    })
  }
  await start()
  const owned = cleanup.move()
  return {
    url: `redis://127.0.0.1:${port}`,
    kill: async () => server?.kill(),
    restart: async () => {
      await server?.kill()
      await start()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
