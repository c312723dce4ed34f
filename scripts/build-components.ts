// Builds the components of components/ from source. `--help` says how.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildC, compileFlags, cToolVersion, linkFlags } from './components/build-c.ts'
import { BuildFailure } from './components/build-failure.ts'
import { bundleJavaScript, componentizeJavaScript } from './components/build-javascript.ts'
import { type ComponentSource, catalog } from './components/catalog.ts'
import { fileParts, hashParts, installedVersion } from './components/input-hash.ts'
import { assembleWit } from './components/wit-text.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

export type BuildOptions = {
  /** One call per line of progress. */
  readonly log?: (line: string) => void
  /** Build even what is up to date. */
  readonly force?: boolean
}

/**
 * Builds the named components (all when empty) where their sources, the scripts or the tools have changed since the last time.
 * @returns name → absolute path of `components/<name>/build/<name>.wasm`.
 * @throws BuildFailure naming the component and what failed or is to be installed.
 */
export async function buildComponents(
  names: readonly string[] = [],
  { log = () => {}, force = false }: BuildOptions = {},
): Promise<Map<string, string>> {
  const wanted = names.length === 0 ? catalog.map(({ name }) => name) : names
  const paths = new Map<string, string>()
  for (const name of wanted) {
    const source = catalog.find((candidate) => candidate.name === name)
    if (source === undefined) {
      throw new BuildFailure(`no component ${name}; there are ${catalog.map((known) => known.name).join(', ')}`)
    }
    paths.set(name, await buildOne(source, log, force))
  }
  return paths
}

async function buildOne(source: ComponentSource, log: (line: string) => void, force: boolean): Promise<string> {
  const { name } = source
  const output = join(root, 'components', name, 'build', `${name}.wasm`)
  const stamp = `${output}.inputs`
  const started = performance.now()
  try {
    const plan = source.language === 'c' ? await planC(name) : await planJavaScript(name, source.entry)
    if (!force && (await isUpToDate(output, stamp, plan.inputs))) {
      log(`${name}: up to date`)
      return output
    }
    log(`${name}: building (${source.language}) …`)
    const component = await plan.build()
    await mkdir(dirname(output), { recursive: true })
    // The stamp goes first and names the bytes it belongs to, the component is moved into place whole: a build that is
    // interrupted, or two at once, leave no half file that looks up to date.
    await writeFile(`${output}.${process.pid}`, component)
    await writeFile(stamp, `${plan.inputs} ${sha256(component)}\n`)
    await rename(`${output}.${process.pid}`, output)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    log(`${name}: built in ${seconds} s, ${component.length.toLocaleString('en')} bytes, sha256 ${sha256(component)}`)
    return output
  } catch (error) {
    throw new BuildFailure(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

type BuildPlan = { readonly inputs: string; build(): Promise<Uint8Array> }

async function planC(name: string): Promise<BuildPlan> {
  const wit = await assembleWit(root, name)
  const inputs = hashParts([
    ['clang', await cToolVersion()],
    ['flags', [...compileFlags, ...linkFlags].join(' ')],
    ['jco', await installedVersion(root, '@bytecodealliance/jco')],
    ['wit', wit],
    ...(await fileParts(root, [`components/${name}/src`, 'components/c-bindings', 'scripts/components'])),
  ])
  return { inputs, build: () => buildC(root, name, wit) }
}

async function planJavaScript(name: string, entry: string): Promise<BuildPlan> {
  const wit = await assembleWit(root, name)
  const bundle = await bundleJavaScript(root, name, entry)
  const inputs = hashParts([
    ['componentize-js', await installedVersion(root, '@bytecodealliance/componentize-js')],
    ['wit', wit],
    // The bundle stands for all its sources, the SDK's and the bundler's versions among them.
    ['bundle', bundle],
    ...(await fileParts(root, ['scripts/components'])),
  ])
  return { inputs, build: () => componentizeJavaScript(bundle, name, wit) }
}

async function isUpToDate(output: string, stamp: string, inputs: string): Promise<boolean> {
  try {
    const [recorded, built] = await Promise.all([readFile(stamp, 'utf8'), readFile(output)])
    return recorded === `${inputs} ${sha256(built)}\n`
  } catch {
    return false
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const usage = `usage: npm run build:components -- [NAME …] [--force] [--list]

Builds components/NAME/build/NAME.wasm from source; all components when no NAME is given. What has not changed is not built again.
  --force   build even what is up to date
  --list    name the components and stop`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { force: { type: 'boolean' }, list: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    console.log(usage)
  } else if (values.list) {
    for (const { name, language, purpose } of catalog)
      console.log(`${name.padEnd(14)} ${language.padEnd(11)} ${purpose}`)
  } else {
    await buildComponents(positionals, { log: console.error, force: values.force ?? false })
  }
  return 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main()
  } catch (error) {
    const isUsage = error instanceof TypeError && 'code' in error
    console.error(error instanceof BuildFailure ? error.message : isUsage ? `${error.message}\n${usage}` : error)
    process.exitCode = isUsage ? 2 : 1
  }
}
