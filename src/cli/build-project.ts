import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { buildC } from './build-c.ts'
import { buildGo } from './build-go.ts'
import { buildJavaScript } from './build-javascript.ts'
import { buildPython } from './build-python.ts'
import { readProjectWit } from './project-wit.ts'

const languages = { c: 'C', javascript: 'JavaScript', go: 'Go', python: 'Python' } as const
type Language = keyof typeof languages

export type BuildResult = {
  readonly language: Language
  /** Absolute. */
  readonly file: string
  readonly sizeBytes: number
}

export type BuildOptions = { readonly onProgress: (text: string) => void; readonly signal: AbortSignal }

const builders = { c: buildC, javascript: buildJavaScript, go: buildGo, python: buildPython }

/**
 * Builds a project by its language, told by what is in it, into `build/<world>.wasm`, which is replaced in one step: a `herald dev` that
 * watches it never sees half of it. @throws ERR_BUILD_FAILED with what the compiler said, ERR_BUILD_TOOL_MISSING with what to install
 */
export async function buildProject(project: string, options: BuildOptions): Promise<BuildResult> {
  const language = await languageOf(project)
  const wit = await readProjectWit(project)
  options.onProgress(`building ${wit.world} (${languages[language]})`)
  const bytes = await builders[language](project, wit, options)
  const folder = join(project, 'build')
  await mkdir(folder, { recursive: true })
  const file = join(folder, `${wit.world}.wasm`)
  await writeFile(`${file}.${process.pid}`, bytes)
  await rename(`${file}.${process.pid}`, file)
  return { language, file, sizeBytes: bytes.length }
}

async function languageOf(project: string): Promise<Language> {
  const has = (name: string): boolean => existsSync(join(project, name))
  const sources = await readdir(join(project, 'src')).catch(() => [] as string[])
  if (has('package.json')) return 'javascript'
  if (has('go.mod')) return 'go'
  if (sources.includes('app.py')) return 'python'
  if (sources.some((name) => name.endsWith('.c'))) return 'c'
  throw new HeraldError(
    'ERR_BUILD_FAILED',
    has('Cargo.toml')
      ? 'this is Rust, which herald build leaves to cargo'
      : 'there is none of package.json (JavaScript), go.mod (Go), src/app.py (Python) and src/*.c (C)',
    {
      where: { file: project },
      hint: has('Cargo.toml')
        ? 'cargo build --release --target wasm32-wasip2, and copy the .wasm into build/, where herald dev finds it'
        : 'name the folder of a project; make one: herald new c NAME',
    },
  )
}
