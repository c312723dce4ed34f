import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectoryFor } from '../../scripts/servers/build-server.ts'
import { withMachineLock } from '../../scripts/servers/machine-lock.ts'
import { lastLines, runProgram } from '../../scripts/servers/run-program.ts'
import { freePort } from '../support/free-port.ts'
import { urlAnswers } from '../support/reachable.ts'
import { startServerProcess } from '../support/server-process.ts'

const version = '26.4.0'

/** A real Keycloak with its own empty database in memory, on a loopback port. Disposal kills it. */
export interface Keycloak extends AsyncDisposable {
  readonly url: string
  /** As the administrator. @throws unless it answers 2xx */
  admin(method: 'POST', path: string, body: string): Promise<void>
}

/** Starts Keycloak with its SPIFFE features; the first time it is fetched by Maven and its build step done (about a minute), then kept. */
export async function startKeycloak(): Promise<Keycloak> {
  const home = await keptKeycloak()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const password = randomBytes(16).toString('hex')
  const server = await startServerProcess({
    name: 'keycloak',
    // As bin/kc.sh does it, but without a shell between: what is killed must be the server itself.
    program: 'java',
    args: [
      ...['-Xms64m', '-Xmx512m', '--add-opens=java.base/java.util=ALL-UNNAMED', `-Dkc.home.dir=${home}`],
      ...['--add-opens=java.base/java.util.concurrent=ALL-UNNAMED', '--add-opens=java.base/java.security=ALL-UNNAMED'],
      ...[`-Djboss.server.config.dir=${join(home, 'conf')}`, '-Dpicocli.disable.closures=true'],
      '-Djava.util.logging.manager=org.jboss.logmanager.LogManager',
      ...['-cp', join(home, 'lib', 'quarkus-run.jar'), 'io.quarkus.bootstrap.runner.QuarkusEntryPoint'],
      ...['start', '--optimized', '--http-enabled=true', '--http-host=127.0.0.1', `--http-port=${port}`],
      ...['--hostname-strict=false', '--cache=local'],
    ],
    env: { KC_BOOTSTRAP_ADMIN_USERNAME: 'admin', KC_BOOTSTRAP_ADMIN_PASSWORD: password },
    readyTimeoutMs: 240_000,
    isReady: (signal) => urlAnswers(`${url}/realms/master`, signal),
  })
  return {
    url,
    async admin(method, path, body) {
      const form = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password }
      const login = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
        method: 'POST',
        body: new URLSearchParams(form),
      })
      const { access_token: token } = (await login.json()) as { access_token: string }
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const answer = await fetch(`${url}/admin/realms${path}`, { method, headers, body })
      if (!answer.ok)
        throw new Error(`Keycloak answered ${method} ${path} with ${answer.status}: ${await answer.text()}`)
    },
    [Symbol.asyncDispose]: () => server.kill(),
  }
}

async function keptKeycloak(): Promise<string> {
  const cache = join(cacheDirectoryFor(process.env), 'servers')
  const kept = join(cache, `keycloak-${version}-spiffe`)
  return withMachineLock(kept, async () => {
    if (await stat(kept).catch(() => undefined)) return kept
    await mkdir(cache, { recursive: true })
    const scratch = await mkdtemp(join(cache, '.fetching-keycloak-'))
    try {
      await must('mvn', scratch, [
        ...['-q', '-B', 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack'],
        `-Dartifact=org.keycloak:keycloak-quarkus-dist:${version}:zip`,
        `-DoutputDirectory=${scratch}`,
      ])
      const home = join(scratch, `keycloak-${version}`)
      const features = '--features=spiffe,client-auth-federated'
      await must('sh', scratch, [join(home, 'bin', 'kc.sh'), 'build', '--db=dev-mem', features])
      await rename(home, kept)
      return kept
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  })
}

async function must(program: string, cwd: string, args: readonly string[]): Promise<void> {
  const result = await runProgram(program, args, { cwd })
  if (result.exitCode === 0) return
  const why = result.startError?.message ?? `exit code ${result.exitCode}`
  throw new Error(
    `Keycloak cannot be had: ${program} failed (${why}); it needs Java 17 and Maven\n${lastLines(result.output)}`,
  )
}
