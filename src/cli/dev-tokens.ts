import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import type { Host } from '../host/host.ts'
import type { DevelopmentAuthority } from '../identity/development/development-authority.ts'
import { selectorsOf } from '../identity/selectors.ts'
import type { Log } from '../observability/log.ts'

/**
 * How `herald identity token` gets a token of a running `herald dev`: over a unix socket in a directory that only this user can enter.
 * Loopback TCP would hand tokens to every user, container and web page that reaches it.
 */
export type DevTokenRequest = { readonly component: string | undefined; readonly audiences: readonly string[] }
export type DevTokenAnswer = { readonly token: string; readonly component: string; readonly issuer: string }

type DevTokenOptions = {
  readonly authority: DevelopmentAuthority
  readonly host: Host
  /** Made with mode 0700 when it is not there. */
  readonly directory: string
  readonly log: Log
}

const maxRequestBytes = 64 * 1024

/** Serves tokens of the components that run here until disposed. When the socket cannot be made, it says so and serves none. */
export async function serveDevTokens({ authority, host, directory, log }: DevTokenOptions): Promise<AsyncDisposable> {
  const path = join(directory, `dev-${process.pid}.sock`)
  const server = createServer((incoming, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body))
    }
    readBody(incoming)
      .then((body) => mintToken(JSON.parse(body) as DevTokenRequest, authority, host))
      .then(
        (result) => answer(200, result),
        (error: unknown) => {
          const known = error instanceof HeraldError
          answer(
            known ? 409 : 400,
            known
              ? { code: error.code, message: error.message, hint: error.hint }
              : { code: 'ERR_USAGE', message: 'not understood' },
          )
        },
      )
  })
  try {
    await ensurePrivateDirectory(directory)
    await rm(path, { force: true })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.once('error', reject)
    server.listen(path, resolve)
    await promise
    await chmod(path, 0o600)
  } catch (error) {
    log.warn(
      { event: 'dev.tokens_unavailable', reason: (error as Error).message },
      'herald identity token cannot ask this process: its socket could not be made',
    )
  }
  return {
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(path, { force: true })
    },
  }
}

async function mintToken(
  { component, audiences }: DevTokenRequest,
  authority: DevelopmentAuthority,
  host: Host,
): Promise<DevTokenAnswer> {
  const running = host.status().flatMap(({ components }) => components)
  const names = running.map(({ name }) => name).join(', ')
  const matching = running.filter(({ name }) => component === undefined || name === component)
  const [found, ...others] = matching
  if (found === undefined) {
    throw new HeraldError('ERR_USAGE', `no component ${component ?? ''} runs`, {
      hint: `running: ${names === '' ? 'none' : names}`,
    })
  }
  if (others.length > 0)
    throw new HeraldError('ERR_USAGE', 'several components run', { hint: `name one with --component: ${names}` })
  const selectors = selectorsOf(found.facts)
  const [svid] = await authority.fetchJwtSvids({ selectors, audiences }, { signal: AbortSignal.timeout(5_000) })
  if (svid === undefined) throw new HeraldError('ERR_INTERNAL', 'the development authority issued nothing')
  return { token: svid.token, component: found.name, issuer: authority.issuer }
}

/**
 * Asks the `herald dev` that was started last by this user.
 * @returns undefined when none runs.
 * @throws HeraldError with the refusal.
 */
export async function askDevForToken(
  wanted: DevTokenRequest,
  { directory }: { directory: string },
): Promise<DevTokenAnswer | undefined> {
  const sockets: { path: string; startedMs: number }[] = []
  for (const name of await readdir(directory).catch((): string[] => [])) {
    if (!/^dev-\d+\.sock$/.test(name)) continue
    const path = join(directory, name)
    const stat = await lstat(path).catch(() => undefined)
    if (stat !== undefined && stat.uid === process.getuid?.()) sockets.push({ path, startedMs: stat.ctimeMs })
  }
  for (const { path } of sockets.sort((a, b) => b.startedMs - a.startedMs)) {
    const response = await post(path, JSON.stringify(wanted))
    if (response === undefined) continue
    const body = JSON.parse(response.body) as DevTokenAnswer & { message?: string; hint?: string }
    if (response.status === 200) return body
    throw new HeraldError(
      'ERR_USAGE',
      body.message ?? 'herald dev refused',
      body.hint === undefined ? {} : { hint: body.hint },
    )
  }
  return undefined
}

/** undefined when nobody listens: left behind by a process that was killed. */
function post(socketPath: string, body: string): Promise<{ status: number; body: string } | undefined> {
  const { promise, resolve } = Promise.withResolvers<{ status: number; body: string } | undefined>()
  const outgoing = request({ socketPath, method: 'POST', path: '/token', timeout: 10_000 }, (response) => {
    readBody(response).then(
      (text) => resolve({ status: response.statusCode ?? 0, body: text }),
      () => resolve(undefined),
    )
  })
  outgoing.on('timeout', () => outgoing.destroy())
  outgoing.on('error', () => resolve(undefined))
  outgoing.end(body)
  return promise
}

async function readBody(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > maxRequestBytes) throw new Error('too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Under a shared temporary directory somebody else may have made it first, to read or replace what is put there. */
async function ensurePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const stat = await lstat(directory)
  if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o077) !== 0) {
    throw new Error(`${directory} is not a directory of this user alone (mode 0700)`)
  }
}
