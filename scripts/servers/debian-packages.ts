import { withMachineLock } from './machine-lock.ts'
import { lastLines, runProgram } from './run-program.ts'

/** What a C component is built with: `clang --target=wasm32-wasi` then finds its linker, its C library and its builtins. */
export const wasmCompilerPackages = ['clang', 'lld', 'wasi-libc', 'libclang-rt-dev-wasm32'] as const

/**
 * Makes sure that the Debian packages are installed; as root on Debian it installs those that are missing, and shows progress.
 * `purpose` says in messages what needs them; default "the test run".
 * @throws where it cannot install: names the packages, why, and the command to run.
 */
export async function ensureDebianPackages(
  packages: readonly string[],
  options: { purpose?: string; log?: (line: string) => void; signal?: AbortSignal } = {},
): Promise<void> {
  const { purpose = 'the test run', signal } = options
  const say = options.log ?? ((line: string) => process.stderr.write(`packages: ${line}\n`))
  if ((await missingDebianPackages(packages, purpose)).length === 0) return
  await withMachineLock(
    'debian-packages',
    async () => {
      const missing = await missingDebianPackages(packages, purpose)
      if (missing.length === 0) return
      const command = `apt-get install ${missing.join(' ')}`
      if (process.getuid?.() !== 0) {
        throw new Error(`${purpose} needs Debian packages that are not installed. As root, run: ${command}`)
      }
      say(`installing ${missing.join(', ')} for ${purpose}`)
      const startedAt = performance.now()
      await aptGet(['update'], { purpose, command, say, signal })
      await aptGet(['install', '-y', '--no-install-recommends', ...missing], { purpose, command, say, signal })
      const left = await missingDebianPackages(packages, purpose)
      if (left.length > 0) throw new Error(`${purpose} needs ${left.join(', ')}, still missing after: ${command}`)
      say(`installed ${missing.join(', ')} in ${Math.round((performance.now() - startedAt) / 1000)} s`)
    },
    { onWait: () => say('another process is installing packages; waiting for it'), signal },
  )
}

async function missingDebianPackages(packages: readonly string[], purpose: string): Promise<readonly string[]> {
  const query = await runProgram('dpkg-query', ['-W', '-f', `\${Package} \${db:Status-Status}\\n`, ...packages])
  if (query.startError !== undefined) {
    throw new Error(
      `${purpose} needs what Debian calls ${packages.join(', ')}, and this is not a Debian system ` +
        `(dpkg-query: ${query.startError.code}). Run it on Debian 12 or later.`,
    )
  }
  const installed = new Set(query.stdout.split('\n').filter((line) => line.endsWith(' installed')))
  return packages.filter((name) => !installed.has(`${name} installed`))
}

async function aptGet(args: readonly string[], { purpose, command, say, signal }: AptContext): Promise<void> {
  const result = await runProgram('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    signal,
    onProgress: (elapsedS) => say(`apt-get ${args[0]} … ${elapsedS} s`),
  })
  if (result.exitCode === 0) return
  const how = result.startError?.message ?? `exit code ${result.exitCode}`
  throw new Error(
    `${purpose} needs Debian packages, and 'apt-get ${args[0]}' failed (${how}). ` +
      `Run by hand: ${command}. It ended with:\n${lastLines(result.output)}`,
  )
}

interface AptContext {
  readonly purpose: string
  readonly command: string
  readonly say: (line: string) => void
  readonly signal?: AbortSignal | undefined
}
