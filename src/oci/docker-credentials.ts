import { spawn } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import type { OciCredentialSource, OciCredentials } from './oci-credentials.ts'

export type DockerCredentialsOptions = {
  /** A docker `config.json`. A file that does not exist means no credentials; one that cannot be read is an error. */
  readonly configPath: string
  /** Where `docker-credential-<name>` is looked for, in this order. Empty = helpers named by the file are an error. */
  readonly helperDirectories: readonly string[]
  /** What a helper sees as its environment (it may need HOME, or a cloud's variables). Default: nothing. */
  readonly helperEnvironment?: Readonly<Record<string, string>>
  /** Longest time a helper may take, ms. Default 10,000. */
  readonly helperTimeoutMs?: number
}

const configSchema = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .default({}),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).default({}),
})

const answerSchema = z.object({ Username: z.string(), Secret: z.string() })

/** Credentials from docker's configuration file and its helpers. The file is read at every look-up: it may be a mounted secret that changes. */
export function createDockerCredentials(options: DockerCredentialsOptions): OciCredentialSource {
  return {
    async find(registry, { signal }) {
      const config = await readConfig(options.configPath)
      if (config === undefined) return undefined
      const helper =
        config.credHelpers[registry] ?? (registry === 'docker.io' ? config.credHelpers['index.docker.io'] : undefined)
      if (helper !== undefined) return askHelper(helper, serverName(registry), options, signal)
      for (const key of authKeys(registry)) {
        const entry = config.auths[key]
        const credentials = entry && fromAuthEntry(entry, key, options.configPath)
        if (credentials !== undefined) return credentials
      }
      return config.credsStore === undefined
        ? undefined
        : askHelper(config.credsStore, serverName(registry), options, signal)
    },
  }
}

function invalid(message: string, hint: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_OCI_CREDENTIALS_INVALID', message, { hint, cause })
}

async function readConfig(path: string): Promise<z.infer<typeof configSchema> | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw invalid(`${path} cannot be read`, 'check its permissions', error)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, which holds secrets.
    throw invalid(`${path} is not JSON`, 'write it again with docker login, or point the host at another file')
  }
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) {
    throw invalid(
      `${path}: ${parsed.error.issues[0]?.path.join('.')} is not what docker writes`,
      'write it again with docker login',
    )
  }
  return parsed.data
}

/** Keys under which one registry's entry may stand; docker.io has the historic one. */
function authKeys(registry: string): string[] {
  const keys = [
    registry,
    `https://${registry}`,
    `https://${registry}/`,
    `https://${registry}/v1/`,
    `https://${registry}/v2/`,
  ]
  return registry === 'docker.io' ? ['https://index.docker.io/v1/', 'index.docker.io', ...keys] : keys
}

function serverName(registry: string): string {
  return registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry
}

function fromAuthEntry(
  entry: {
    auth?: string | undefined
    username?: string | undefined
    password?: string | undefined
    identitytoken?: string | undefined
  },
  key: string,
  path: string,
): OciCredentials | undefined {
  if (entry.identitytoken) return { kind: 'identity-token', token: entry.identitytoken }
  if (entry.username !== undefined && entry.password !== undefined) {
    return { kind: 'basic', username: entry.username, password: entry.password }
  }
  if (!entry.auth) return undefined
  const decoded = Buffer.from(entry.auth, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = decoded.indexOf(':')
  if (colon < 1)
    throw invalid(
      `${path}: auths[${JSON.stringify(key)}].auth is not base64 of user:password`,
      'run docker login again',
    )
  return { kind: 'basic', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

async function askHelper(
  name: string,
  server: string,
  { configPath, helperDirectories, helperEnvironment = {}, helperTimeoutMs = 10_000 }: DockerCredentialsOptions,
  signal: AbortSignal,
): Promise<OciCredentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name))
    throw invalid(
      `${configPath} names the credential helper ${JSON.stringify(name)}`,
      'a helper is named by its suffix only, such as ecr-login',
    )
  const program = `docker-credential-${name}`
  const path = await firstExecutable(helperDirectories.map((directory) => join(directory, program)))
  if (path === undefined)
    throw invalid(
      `${configPath} names the credential helper ${program}, which is in none of ${helperDirectories.join(', ') || '(no directory given)'}`,
      'install it, or remove it from the file',
    )
  const { exitCode, stdout } = await runHelper(
    path,
    server,
    helperEnvironment,
    AbortSignal.any([signal, AbortSignal.timeout(helperTimeoutMs)]),
  )
  signal.throwIfAborted()
  if (exitCode !== 0) {
    if (/credentials not found/i.test(stdout)) return undefined
    throw invalid(
      `${program} failed for ${server} (exit code ${exitCode ?? 'none: it was ended'})`,
      `run it by hand: echo ${server} | ${program} get`,
    )
  }
  const parsed = answerSchema.safeParse(tryJson(stdout))
  if (!parsed.success)
    throw invalid(
      `${program} answered something that is no credential for ${server}`,
      `run it by hand: echo ${server} | ${program} get`,
    )
  const { Username: username, Secret: secret } = parsed.data
  return username === '<token>'
    ? { kind: 'identity-token', token: secret }
    : { kind: 'basic', username, password: secret }
}

function runHelper(
  path: string,
  server: string,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ exitCode: number | null; stdout: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ exitCode: number | null; stdout: string }>()
  const child = spawn(path, ['get'], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'ignore'],
    signal,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (stdout.length > 65_536) child.kill('SIGKILL')
  })
  child.on('error', (error) => {
    if (signal.aborted) resolve({ exitCode: null, stdout: '' })
    else reject(invalid(`${path} cannot be run`, 'check that it is executable on this machine', error))
  })
  child.on('close', (exitCode) => resolve({ exitCode, stdout }))
  child.stdin.on('error', () => {}) // a helper that ends without reading is judged by its exit code
  child.stdin.end(`${server}\n`)
  return promise
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return undefined
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
