import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { wrapCoreModule } from '../engine/wrap-core-module.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { importFrom, packageRoot } from './package-files.ts'
import { type ProjectWit, readProjectWit } from './project-wit.ts'

const run = promisify(execFile)

export type BuildResult = {
  readonly language: 'c' | 'javascript'
  /** Absolute. */
  readonly file: string
  readonly sizeBytes: number
}

type BuildOptions = { readonly onProgress: (text: string) => void; readonly signal: AbortSignal }

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

/**
 * Builds a project by its language, told by what is in it, into `build/<world>.wasm`, which is replaced in one step: a `herald dev` that
 * watches it never sees half of it. @throws ERR_BUILD_FAILED with what the compiler said, ERR_BUILD_TOOL_MISSING with what to install
 */
export async function buildProject(project: string, options: BuildOptions): Promise<BuildResult> {
  const language = await languageOf(project)
  const wit = await readProjectWit(project)
  options.onProgress(`building ${wit.world} (${language === 'c' ? 'C' : 'JavaScript'})`)
  const bytes = language === 'c' ? await buildC(project, wit, options) : await buildJavaScript(project, wit)
  const folder = join(project, 'build')
  await mkdir(folder, { recursive: true })
  const file = join(folder, `${wit.world}.wasm`)
  await writeFile(`${file}.${process.pid}`, bytes)
  await rename(`${file}.${process.pid}`, file)
  return { language, file, sizeBytes: bytes.length }
}

/** How others are built: by their own tools. */
const othersByFile: readonly (readonly [file: string, language: string, how: string])[] = [
  ['Cargo.toml', 'Rust', 'cargo build --release --target wasm32-wasip2'],
  ['go.mod', 'Go', 'GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared, then wasm-tools component new'],
  ['app.py', 'Python', 'componentize-py componentize app'],
]

async function languageOf(project: string): Promise<BuildResult['language']> {
  if (existsSync(join(project, 'package.json'))) return 'javascript'
  const sources = await readdir(join(project, 'src')).catch(() => [] as string[])
  if (sources.some((name) => name.endsWith('.c'))) return 'c'
  const other = othersByFile.find(([file]) => existsSync(join(project, file)) || sources.includes(file))
  throw new HeraldError(
    'ERR_BUILD_FAILED',
    other === undefined
      ? 'neither package.json (JavaScript) nor src/*.c (C) is there'
      : `this is ${other[1]}, and herald build builds C and JavaScript only`,
    {
      where: { file: project },
      hint:
        other === undefined
          ? 'name the folder of a project; make one: herald new c NAME'
          : `build it by its own tools (${other[2]}) into build/, where herald dev finds it`,
    },
  )
}

async function buildC(project: string, { world, text }: ProjectWit, { signal }: BuildOptions): Promise<Uint8Array> {
  const folders = ['src', 'bindings'].map((name) => join(project, name)).filter((folder) => existsSync(folder))
  const sources = (await Promise.all(folders.map(cFiles))).flat()
  const work = await mkdtemp(join(tmpdir(), 'herald-build-'))
  try {
    const includes = folders.flatMap((folder) => ['-I', folder])
    const objects = sources.map((source, at) => ({ source, object: join(work, `${at}-${basename(source)}.o`) }))
    await Promise.all(
      objects.map(({ source, object }) =>
        tool('clang', [...compileFlags, ...includes, '-c', source, '-o', object], project, signal),
      ),
    )
    const core = join(work, 'core.wasm')
    await tool('wasm-ld', [...linkFlags, '-o', core, ...objects.map(({ object }) => object)], project, signal)
    return await wrapCoreModule(await readFile(core), { wit: text, world }).catch((cause: unknown) => {
      throw failed(
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

async function tool(program: string, args: readonly string[], cwd: string, signal: AbortSignal): Promise<void> {
  await run(program, args, { cwd, signal }).catch((cause: { code?: unknown; stderr?: string }) => {
    signal.throwIfAborted()
    if (cause.code === 'ENOENT') {
      throw new HeraldError('ERR_BUILD_TOOL_MISSING', `${program} is not on the PATH`, {
        hint: 'install clang and lld (Debian: apt-get install clang lld)',
        cause,
      })
    }
    throw failed(`${program} failed`, cause.stderr ?? String(cause), cause)
  })
}

type Esbuild = { build(options: object): Promise<{ outputFiles: { contents: Uint8Array; text: string }[] }> }
type Componentize = { componentize(options: object): Promise<{ component: Uint8Array }> }

async function buildJavaScript(project: string, { world, text }: ProjectWit): Promise<Uint8Array> {
  const esbuild = (await requireTool('esbuild', project)) as Esbuild
  const { componentize } = (await requireTool('@bytecodealliance/componentize-js', project)) as Componentize
  const { main = 'src/main.js' } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as {
    main?: string
  }
  const bundled = await esbuild
    .build({
      absWorkingDir: project,
      entryPoints: [main],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      legalComments: 'none',
      external: ['wasi:*', 'wasmcloud:*', 'herald:*'],
      loader: { '.html': 'text' },
      logLevel: 'silent',
    })
    .catch((cause: Error) => {
      throw failed(`${main} cannot be bundled`, cause.message, cause)
    })
  const [output] = bundled.outputFiles
  const work = await mkdtemp(join(tmpdir(), 'herald-build-'))
  try {
    const sourcePath = join(work, `${world}.js`)
    await writeFile(sourcePath, output?.contents ?? '')
    // A program that handles requests itself has no fetch event, and the other way round.
    const listens = /addEventListener\(\s*["'`]fetch/.test(output?.text ?? '')
    const disableFeatures = listens ? [] : ['fetch-event']
    const { component } = await componentize({ sourcePath, witWorld: text, worldName: world, disableFeatures })
    return component
  } catch (cause) {
    throw failed(`the program is no component of the world ${world}`, (cause as Error).message, cause)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** The project's own, else Herald's where it is a checkout. */
async function requireTool(name: string, project: string): Promise<unknown> {
  const found = (await importFrom(name, project)) ?? (await importFrom(name, packageRoot))
  if (found !== undefined) return found
  throw new HeraldError('ERR_BUILD_TOOL_MISSING', `the package ${name} is not installed`, {
    where: { file: project },
    hint: `run in it: npm install --save-dev ${name}`,
  })
}

/** The compiler's own words, its last lines. */
function failed(what: string, said: string, cause: unknown): HeraldError {
  const lines = said.trim().split('\n')
  return new HeraldError('ERR_BUILD_FAILED', `${what}:\n${lines.slice(-40).join('\n')}`, { cause })
}
