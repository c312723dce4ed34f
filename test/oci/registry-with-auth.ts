import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from '../support/free-port.ts'
import { startServerProcess } from '../support/server-process.ts'

export type PrivateRegistry = { readonly host: string } & AsyncDisposable

/** The real registry 3.1.1 that lets in `ann` with the password `pa55` only. */
export function startPrivateRegistry(directory: string): Promise<PrivateRegistry> {
  const htpasswd = join(directory, 'htpasswd')
  // bcrypt of pa55, made by crypt(3).
  writeFileSync(htpasswd, 'ann:$2b$05$nUvjR3N7fKwBnrfRzUnalee7YLOnZqlv6CFw1dPR1Q5Dog9sydbMS\n')
  return startRegistryWith(directory, `auth: { htpasswd: { realm: herald-test, path: ${JSON.stringify(htpasswd)} } }`)
}

/** @param auth of its configuration file */
export async function startRegistryWith(directory: string, auth: string): Promise<PrivateRegistry> {
  const host = `127.0.0.1:${await freePort()}`
  const config = join(directory, 'registry.yml')
  writeFileSync(
    config,
    `version: 0.1\nstorage:\n  filesystem: { rootdirectory: ${JSON.stringify(join(directory, 'data'))} }\nhttp: { addr: "${host}" }\n${auth}\n`,
  )
  const server = await startServerProcess({
    name: 'registry',
    program: join(await buildServer('registry'), 'registry'),
    args: ['serve', config],
    env: { OTEL_TRACES_EXPORTER: 'none' },
    isReady: async (until) => (await fetch(`http://${host}/v2/`, { signal: until })).status === 401,
  })
  return { host, [Symbol.asyncDispose]: () => server.kill() }
}
