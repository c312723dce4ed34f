import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { buildFailed } from './build-tool.ts'
import { importFrom, packageRoot } from './package-files.ts'
import type { ProjectWit } from './project-wit.ts'

type Esbuild = { build(options: object): Promise<{ outputFiles: { contents: Uint8Array; text: string }[] }> }
type Componentize = { componentize(options: object): Promise<{ component: Uint8Array }> }

/** The program that `main` of package.json names, bundled, as a component of the world. */
export async function buildJavaScript(project: string, { world, text }: ProjectWit): Promise<Uint8Array> {
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
      throw buildFailed(`${main} cannot be bundled`, cause.message, cause)
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
    throw buildFailed(`the program is no component of the world ${world}`, (cause as Error).message, cause)
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
