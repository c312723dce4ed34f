import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ServerBuild, type ServerName, serverBuilds } from './catalog.ts'
import { withMachineLock } from './machine-lock.ts'
import { lastLines, type RunResult, runProgram } from './run-program.ts'

export interface BuildOptions {
  /** Default: `HERALD_CACHE_DIR`, else `$XDG_CACHE_HOME/herald`, else `~/.cache/herald`. Never inside the tree. */
  readonly cacheDirectory?: string
  /** Where the wrapper modules are; default `test/servers` of this checkout. */
  readonly wrappersDirectory?: string
  /** The environment that names the cache, `go` and the C compiler; default that of this process. */
  readonly environment?: NodeJS.ProcessEnv
  /** Takes one progress line at a time; default: standard error. */
  readonly log?: (line: string) => void
  readonly signal?: AbortSignal
}

const linkerFlags = '-s -w'
const scratchPrefix = '.building-'

/**
 * The folder with the server's programs, built now unless the cache has them.
 *
 * The cache is keyed by the wrapper's files, the Go version and the target, so a changed pin builds anew and an old checkout
 * finds its own. A build goes to a folder of its own and is renamed into place whole, and a second builder on the machine waits for the first.
 * @throws if `go` or the C compiler is missing, or the build fails: names the server, what could not run, and what to do.
 */
export async function buildServer(name: ServerName, options: BuildOptions = {}): Promise<string> {
  const build: ServerBuild = serverBuilds[name]
  const environment = options.environment ?? process.env
  const log = options.log ?? ((line) => process.stderr.write(`servers: ${line}\n`))
  const wrapper = join(options.wrappersDirectory ?? join(import.meta.dirname, '../../test/servers'), name)
  const cache = resolve(options.cacheDirectory ?? cacheDirectoryFor(environment), 'servers')

  const go = await goEnvironment(name, wrapper, environment)
  const key = await cacheKey(name, wrapper, build, go)
  const home = join(cache, key)
  if (await isComplete(home, build)) return join(home, 'bin')

  return withMachineLock(
    home,
    async () => {
      if (await isComplete(home, build)) return join(home, 'bin')
      if (build.needsCompilerFor !== undefined) await requireCompiler(name, build.needsCompilerFor, go.cc, environment)
      await mkdir(cache, { recursive: true })
      await removeAbandonedBuilds(cache)
      const scratch = await mkdtemp(join(cache, scratchPrefix))
      try {
        const version = await pinnedVersion(name, wrapper)
        const programs = Object.keys(build.programs).join(', ')
        log(`building ${name} ${version} (${programs}) with ${go.version}; this is kept in ${cache}`)
        const result = await runProgram(
          'go',
          [
            ...[
              'build',
              '-mod=readonly',
              '-trimpath',
              '-buildvcs=false',
              `-ldflags=${linkerFlags} ${build.linkerFlags ?? ''}`,
            ],
            ...['-o', `${join(scratch, 'bin')}/`],
            ...Object.values(build.programs),
          ],
          {
            cwd: wrapper,
            env: { ...environment, CGO_ENABLED: build.needsCompilerFor === undefined ? '0' : '1' },
            signal: options.signal,
            onProgress: (elapsedS) => log(`building ${name} … ${elapsedS} s`),
          },
        )
        requireSuccess(result, name, wrapper)
        await rm(home, { recursive: true, force: true })
        await rename(scratch, home)
        log(`built ${name} in ${result.elapsedS} s`)
      } finally {
        await rm(scratch, { recursive: true, force: true })
      }
      return join(home, 'bin')
    },
    { onWait: () => log(`another process is building ${name}; waiting for it`), signal: options.signal },
  )
}

/** The version that the wrapper's go.mod pins. */
export async function pinnedVersion(name: ServerName, wrapperDirectory?: string): Promise<string> {
  const wrapper = wrapperDirectory ?? join(import.meta.dirname, '../../test/servers', name)
  const goMod = await readFile(join(wrapper, 'go.mod'), 'utf8')
  const module = serverBuilds[name].module
  const fields = goMod.split('\n').map((line) =>
    line
      .replace(/^require\b/, '')
      .trim()
      .split(/\s+/),
  )
  const version = fields.find(([path]) => path === module)?.[1]
  if (version === undefined) throw new Error(`${join(wrapper, 'go.mod')} does not require ${module}`)
  return version
}

/** Where this machine keeps what was built: `HERALD_CACHE_DIR`, else `$XDG_CACHE_HOME/herald`, else `~/.cache/herald`. */
export function cacheDirectoryFor(environment: NodeJS.ProcessEnv): string {
  if (environment.HERALD_CACHE_DIR) return environment.HERALD_CACHE_DIR
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'herald')
}

interface GoEnvironment {
  readonly version: string
  readonly target: string
  readonly cc: string
}

async function goEnvironment(name: string, wrapper: string, env: NodeJS.ProcessEnv): Promise<GoEnvironment> {
  const result = await runProgram('go', ['env', 'GOVERSION', 'GOOS', 'GOARCH', 'CC'], { cwd: wrapper, env })
  if (result.startError !== undefined) {
    throw new Error(
      `cannot build the server '${name}': 'go' could not be run (${result.startError.code}). ` +
        `Install Go 1.26.6 or later and put its bin folder on PATH; the tests run the real servers, built from their Go modules.`,
    )
  }
  if (result.exitCode !== 0) {
    throw new Error(`cannot build the server '${name}': 'go env' failed in ${wrapper}:\n${lastLines(result.output)}`)
  }
  const [version = '', os = '', architecture = '', cc = ''] = result.stdout.trim().split('\n')
  return { version, target: `${os}/${architecture}`, cc }
}

async function requireCompiler(name: string, reason: string, cc: string, env: NodeJS.ProcessEnv): Promise<void> {
  const [program = 'gcc', ...args] = cc.split(' ')
  const result = await runProgram(program, [...args, '--version'], { env })
  if (result.startError === undefined && result.exitCode === 0) return
  throw new Error(
    `cannot build the server '${name}': the C compiler '${cc}' could not be run ` +
      `(${result.startError?.code ?? `exit code ${result.exitCode}`}), and ${reason} needs one. ` +
      `Install one (Debian: apt-get install gcc libc6-dev) or name yours in CC.`,
  )
}

function requireSuccess(result: RunResult, name: string, wrapper: string): void {
  if (result.exitCode === 0) return
  const how = result.startError?.message ?? `exit code ${result.exitCode}`
  throw new Error(
    `building the server '${name}' failed after ${result.elapsedS} s (${how}). The pins are in ${wrapper}; ` +
      `'go build' ended with:\n${lastLines(result.output)}`,
  )
}

async function cacheKey(name: string, wrapper: string, build: ServerBuild, go: GoEnvironment): Promise<string> {
  const hash = createHash('sha256')
  hash.update(JSON.stringify([go.version, go.target, linkerFlags, build]))
  const entries = await readdir(wrapper, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  for (const file of files.toSorted()) {
    const content = await readFile(file)
    hash.update(JSON.stringify([file.slice(wrapper.length), content.length])).update(content)
  }
  return `${name}-${hash.digest('hex').slice(0, 32)}`
}

/** A builder that was killed leaves its scratch folder behind; one that is a day old is nobody's any more. */
async function removeAbandonedBuilds(cache: string): Promise<void> {
  const dayAgoMs = Date.now() - 24 * 60 * 60 * 1000
  for (const name of await readdir(cache)) {
    if (!name.startsWith(scratchPrefix)) continue
    const found = await stat(join(cache, name)).catch(() => undefined)
    if (found !== undefined && found.mtimeMs < dayAgoMs) await rm(join(cache, name), { recursive: true, force: true })
  }
}

async function isComplete(home: string, build: ServerBuild): Promise<boolean> {
  const checks = Object.keys(build.programs).map((program) => isExecutable(join(home, 'bin', program)))
  return (await Promise.all(checks)).every(Boolean)
}

async function isExecutable(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found?.isFile() === true && (found.mode & 0o100) !== 0
}
