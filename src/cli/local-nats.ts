import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import type { Log } from '../observability/log.ts'

export type LocalNatsOptions = {
  /** The program; default: the first `nats-server` of these. */
  readonly program: string | undefined
  readonly programDirectories: readonly string[]
  /** 0 takes a free one. */
  readonly port: number
  /** Of this user only: the configuration and the token stand there while it runs. */
  readonly directory: string
  /** Where JetStream keeps what it is given. */
  readonly storeDirectory: string
  readonly log: Log
  readonly signal: AbortSignal
}

/** A nats-server of this process, on loopback. Disposal ends it. */
export interface LocalNats extends AsyncDisposable {
  readonly url: string
  readonly tokenFile: string
  /** Resolves when it ended by itself. */
  readonly ended: Promise<HeraldError>
}

/** @throws ERR_PROGRAM_MISSING, ERR_NATS_START */
export async function startLocalNats(options: LocalNatsOptions): Promise<LocalNats> {
  const { directory, storeDirectory, log, signal } = options
  const program =
    options.program ??
    options.programDirectories.map((path) => join(path, 'nats-server')).find((path) => existsSync(path))
  if (program === undefined || !existsSync(program)) {
    throw new HeraldError(
      'ERR_PROGRAM_MISSING',
      program === undefined ? 'there is no nats-server on the PATH' : `there is no ${program}`,
      {
        hint: 'install it (Debian: apt-get install nats-server), name it with --nats-server, or use another NATS: --nats URL',
      },
    )
  }
  const port = options.port === 0 ? await freePort() : options.port
  if (await answers(port)) {
    throw new HeraldError('ERR_NATS_START', `port ${port} of this machine is in use`, {
      hint: `take another one: --nats-port 0; or use what listens there: --nats nats://127.0.0.1:${port}`,
    })
  }
  await mkdir(directory, { recursive: true, mode: 0o700 })
  // A directory that was there keeps its mode otherwise, and the token is in it.
  await chmod(directory, 0o700)
  await mkdir(storeDirectory, { recursive: true, mode: 0o700 })
  const token = randomBytes(24).toString('base64url')
  const tokenFile = join(directory, 'nats.token')
  const configFile = join(directory, 'nats.conf')
  await writeFile(tokenFile, token, { mode: 0o600 })
  await writeFile(
    configFile,
    `listen: "127.0.0.1:${port}"\nauthorization { token: "${token}" }\njetstream { store_dir: ${JSON.stringify(storeDirectory)} }\n`,
    { mode: 0o600 },
  )
  const wrapper = options.programDirectories.map((path) => join(path, 'setpriv')).find((path) => existsSync(path))
  const [command = program, ...args] = [
    // On Linux it ends with this process, however that ends.
    ...(process.platform === 'linux' && wrapper !== undefined ? [wrapper, '--pdeathsig', 'TERM', '--'] : []),
    program,
    ...['-c', configFile],
  ]
  // In a group of its own: Ctrl-C is for the host, which needs NATS until it has left.
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000)
  })
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, name) => resolve(`ended with ${code ?? name}`))
  })
  let ending = false
  const end = async (): Promise<void> => {
    ending = true
    child.kill('SIGTERM')
    await exited
    await rm(tokenFile, { force: true })
    await rm(configFile, { force: true })
  }
  const failed = (how: string): HeraldError =>
    new HeraldError('ERR_NATS_START', `${program} ${how}: ${lastLine(said)}`, { hint: 'run it by hand to see more' })
  const early = exited.then((how) => ({ how }))
  try {
    while (!(await answers(port))) {
      signal.throwIfAborted()
      const gone = await Promise.race([early, new Promise<undefined>((resolve) => setTimeout(resolve, 50, undefined))])
      if (gone !== undefined) throw failed(gone.how)
    }
  } catch (error) {
    await end()
    throw error
  }
  log.info({ event: 'up.nats_started', program, port }, 'NATS is up')
  return {
    url: `nats://127.0.0.1:${port}`,
    tokenFile,
    ended: exited.then((how) => (ending ? new Promise<never>(() => {}) : failed(how))),
    [Symbol.asyncDispose]: end,
  }
}

const lastLine = (text: string): string =>
  text
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^\[\d+\] \S+ \S+ /, '') ?? ''

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
