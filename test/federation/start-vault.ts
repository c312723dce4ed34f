import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from '../support/free-port.ts'
import { socketListens } from '../support/reachable.ts'
import { startServerProcess } from '../support/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

type Json = Record<string, unknown>

/** HashiCorp Vault's core with `auth/jwt` and a `kv` engine whose secrets have leases; unsealed, empty, in memory. Disposal kills it. */
export interface Vault extends AsyncDisposable {
  readonly url: string
  /** As root. @throws unless it answers 2xx */
  admin(method: 'GET' | 'POST' | 'PUT', path: string, body?: Json): Promise<Json>
  /**
   * Holds a program `vault` for PATH. It is no Vault CLI, which cannot be built here: it makes of `auth enable`, `write` and
   * `policy write` the requests that the CLI makes of them, as root.
   */
  readonly binDirectory: string
  logs(): string
}

export async function startVault(): Promise<Vault> {
  const programs = await buildServer('vault')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = cleanup.use(
    await startServerProcess({
      name: 'vault',
      program: join(programs, 'vault'),
      args: ['-listen', `127.0.0.1:${port}`],
      isReady: () => socketListens(port),
    }),
  )
  const call = async (token: string | undefined, method: string, path: string, body?: Json): Promise<Json> => {
    const answer = await fetch(`${url}/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { 'x-vault-token': token },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`Vault answered ${method} ${path} with ${answer.status}: ${text}`)
    return text === '' ? {} : JSON.parse(text)
  }
  const made = await call(undefined, 'PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })
  const [key] = made.keys as string[]
  const root = String(made.root_token)
  await call(undefined, 'PUT', 'sys/unseal', { key })
  // It answers 'no active node' for the moment that it takes to become one.
  for (let left = 100; ; left--) {
    const active = await call(root, 'GET', 'auth/token/lookup-self').catch((error: Error) => error)
    if (!(active instanceof Error)) break
    if (left === 0) throw active
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await call(root, 'POST', 'sys/mounts/kv', { type: 'kv' })
  writeFileSync(join(directory, 'vault'), commandStandIn, { mode: 0o755 })
  writeFileSync(join(directory, 'token'), root, { mode: 0o600 })
  writeFileSync(join(directory, 'url'), url)
  const owned = cleanup.move()
  return {
    url,
    admin: (method, path, body) => call(root, method, path, body),
    binDirectory: directory,
    logs: () => server.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const commandStandIn = `#!${process.execPath}
const { readFileSync } = require('node:fs')
const kept = (name) => readFileSync(__dirname + '/' + name, 'utf8')
const [verb, ...rest] = process.argv.slice(2)
const valueOf = (text) => (text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text)
function requestOf() {
  if (verb === 'auth' && rest[0] === 'enable') {
    const path = rest.find((word) => word.startsWith('-path=')).slice(6)
    return { path: 'sys/auth/' + path, body: { type: rest.at(-1) } }
  }
  if (verb === 'policy' && rest[0] === 'write') {
    return { path: 'sys/policies/acl/' + rest[1], body: { policy: readFileSync(rest[2], 'utf8') } }
  }
  if (verb === 'write') {
    const [path, ...words] = rest
    if (words.length === 1 && words[0].startsWith('@')) return { path, body: JSON.parse(valueOf(words[0])) }
    const pair = (word) => [word.slice(0, word.indexOf('=')), valueOf(word.slice(word.indexOf('=') + 1))]
    return { path, body: Object.fromEntries(words.map(pair)) }
  }
  throw new Error('this stand-in does not know: vault ' + process.argv.slice(2).join(' '))
}
const { path, body } = requestOf()
fetch(kept('url') + '/v1/' + path, { method: 'PUT', headers: { 'x-vault-token': kept('token') }, body: JSON.stringify(body) }).then(
  async (answer) => {
    if (answer.ok) return
    console.error('Error writing ' + path + ': ' + answer.status + ' ' + (await answer.text()))
    process.exitCode = 2
  },
)
`
