import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { wrapCoreModule } from '../engine/wrap-core-module.ts'
import type { BuildOptions } from './build-project.ts'
import { buildFailed, runTool } from './build-tool.ts'
import type { ProjectWit } from './project-wit.ts'

const compileFlags = [
  '--target=wasm32-unknown-unknown',
  '-std=c17',
  '-O2',
  '-flto',
  '-ffreestanding',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
]
const linkFlags = ['--no-entry', '--strip-all', '--stack-first', '-z', 'stack-size=65536', '--lto-O2']

/** `src/*.c` and `bindings/*.c`, freestanding, as a component of the world. */
export async function buildC(
  project: string,
  { world, text }: ProjectWit,
  { signal }: BuildOptions,
): Promise<Uint8Array> {
  const folders = ['src', 'bindings'].map((name) => join(project, name)).filter((folder) => existsSync(folder))
  const sources = (await Promise.all(folders.map(cFiles))).flat()
  const tools = { cwd: project, signal, install: 'install clang and lld (Debian: apt-get install clang lld)' }
  const work = await mkdtemp(join(tmpdir(), 'herald-build-'))
  try {
    const includes = folders.flatMap((folder) => ['-I', folder])
    const objects = sources.map((source, at) => ({ source, object: join(work, `${at}-${basename(source)}.o`) }))
    await Promise.all(
      objects.map(({ source, object }) =>
        runTool('clang', [...compileFlags, ...includes, '-c', source, '-o', object], tools),
      ),
    )
    const core = join(work, 'core.wasm')
    await runTool('wasm-ld', [...linkFlags, '-o', core, ...objects.map(({ object }) => object)], tools)
    return await wrapCoreModule(await readFile(core), { wit: text, world }).catch((cause: unknown) => {
      throw buildFailed(
        `the module is no component of the world ${world}`,
        String((cause as Error)?.message ?? cause),
        cause,
      )
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function cFiles(folder: string): Promise<string[]> {
  return (await readdir(folder))
    .filter((name) => name.endsWith('.c'))
    .sort()
    .map((name) => join(folder, name))
}
