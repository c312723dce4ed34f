import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from './free-port.ts'
import { urlAnswers } from './reachable.ts'
import { startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A real OCI registry over plain http, without authentication. Disposal kills it and removes what was pushed. */
export interface Registry extends AsyncDisposable {
  readonly url: string
  /** `127.0.0.1:<port>`, the first part of an image reference. */
  readonly host: string
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>
  logs(): string
}

/** Starts registry 3.1.1. @throws with the end of its log if it does not become ready. */
export async function startRegistry(): Promise<Registry> {
  const programs = await buildServer('registry')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const host = `127.0.0.1:${await freePort()}`
  const configPath = join(directory, 'registry.yml')
  writeFileSync(
    configPath,
    `
version: 0.1
storage:
  filesystem: { rootdirectory: ${JSON.stringify(join(directory, 'data'))} }
  delete: { enabled: true }
http: { addr: "${host}" }
`,
  )
  const server = cleanup.use(
    await startServerProcess({
      name: 'registry',
      program: join(programs, 'registry'),
      args: ['serve', configPath],
      env: { OTEL_TRACES_EXPORTER: 'none' },
      isReady: (signal) => urlAnswers(`http://${host}/v2/`, signal),
    }),
  )
  const owned = cleanup.move()
  return {
    url: `http://${host}`,
    host,
    stop: () => server.stop(),
    logs: () => server.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
