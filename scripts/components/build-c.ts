import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { componentEmbed, componentNew } from '@bytecodealliance/jco'
import { BuildFailure, ToolMissing } from './build-failure.ts'
import type { BuildPlan } from './build-plan.ts'
import { fileParts, hashParts, installedVersion } from './input-hash.ts'
import { assembleWit } from './wit-text.ts'

const run = promisify(execFile)

/** What compiler and linker are told; part of the input hash. */
export const compileFlags = [
  '--target=wasm32-unknown-unknown',
  '-std=c17',
  '-O2',
  '-flto',
  '-ffreestanding',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Werror',
]
export const linkFlags = ['--no-entry', '--strip-all', '--stack-first', '-z', 'stack-size=65536', '--lto-O2']

export async function planC(root: string, name: string): Promise<BuildPlan> {
  const wit = await assembleWit(root, name)
  const inputs = hashParts([
    ['clang', await cToolVersion()],
    ['flags', [...compileFlags, ...linkFlags].join(' ')],
    ['jco', await installedVersion(root, '@bytecodealliance/jco')],
    ['wit', wit],
    ...(await fileParts(root, [`components/${name}/src`, 'components/c-bindings', 'scripts/components/build-c.ts'])),
  ])
  return { inputs, build: () => buildC(root, name, wit) }
}

/** First line of `clang --version`. @throws ToolMissing when clang or the WebAssembly linker is not there. */
async function cToolVersion(): Promise<string> {
  try {
    const [clang] = await Promise.all([run('clang', ['--version']), run('wasm-ld', ['--version'])])
    return clang.stdout.split('\n', 1)[0] ?? ''
  } catch (cause) {
    throw new ToolMissing('C components need clang and wasm-ld: apt-get install clang lld', { cause })
  }
}

/** Compiles `components/<name>/src/*.c` with the shared bindings to a core module and wraps it as a component of its world. */
async function buildC(root: string, name: string, witSource: string): Promise<Uint8Array> {
  const bindings = join(root, 'components', 'c-bindings')
  const sources = [...(await cFiles(join(root, 'components', name, 'src'))), ...(await cFiles(bindings))]
  const work = await mkdtemp(join(tmpdir(), 'herald-c-'))
  try {
    // Compiled and linked by hand: as a linker, clang also runs any wasm-opt that happens to be on the PATH.
    const objects = sources.map((source) => join(work, `${basename(source, '.c')}.o`))
    await Promise.all(
      sources.map((source, at) =>
        runTool('clang', [...compileFlags, '-I', bindings, '-c', source, '-o', objects[at]!]),
      ),
    )
    const output = join(work, 'core.wasm')
    await runTool('wasm-ld', [...linkFlags, '-o', output, ...objects])
    const embedded = await componentEmbed({ binary: await readFile(output), witSource, world: name })
    return await componentNew(embedded)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function runTool(tool: string, args: readonly string[]): Promise<void> {
  await run(tool, args).catch((error: { stderr?: string }) => {
    throw new BuildFailure(`${tool} failed:\n${error.stderr ?? error}`)
  })
}

async function cFiles(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.c')).sort()
  return names.map((name) => join(directory, name))
}
