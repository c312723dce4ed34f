// Builds the components of components/ from source. `--help` says how.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { BuildFailure, ToolMissing, ToolUnobtainable } from './components/build-failure.ts'
import { planBuild } from './components/build-plan.ts'
import { type ComponentSource, catalog } from './components/catalog.ts'
import { keepComponent, keptComponent } from './components/kept-component.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

export type BuildOptions = {
  /** One call per line of progress. */
  readonly log?: (line: string) => void
  /** Build even what is up to date. */
  readonly force?: boolean
  /**
   * Go on without the components whose language has no tool on this machine; they are logged, and missing in the result. What no package
   * registry has (Rust's library for WebAssembly) is left out of all in any case.
   */
  readonly skipWithoutTool?: boolean
}

/**
 * Builds the named components (all when empty) where their sources, the scripts or the tools have changed since the last time.
 * @returns name → absolute path of `components/<name>/build/<name>.wasm`.
 * @throws BuildFailure naming the component and what failed or is to be installed.
 */
export async function buildComponents(
  names: readonly string[] = [],
  { log = () => {}, force = false, skipWithoutTool = false }: BuildOptions = {},
): Promise<Map<string, string>> {
  const wanted = names.length === 0 ? catalog.map(({ name }) => name) : names
  const paths = new Map<string, string>()
  for (const name of wanted) {
    const source = catalog.find((candidate) => candidate.name === name)
    if (source === undefined) {
      throw new BuildFailure(`no component ${name}; there are ${catalog.map((known) => known.name).join(', ')}`)
    }
    try {
      paths.set(name, await buildOne(source, log, force))
    } catch (error) {
      const isLeftOut = skipWithoutTool
        ? error instanceof ToolMissing
        : names.length === 0 && error instanceof ToolUnobtainable
      if (!isLeftOut) throw error
      log(`not built: ${(error as Error).message}`)
    }
  }
  return paths
}

async function buildOne(source: ComponentSource, log: (line: string) => void, force: boolean): Promise<string> {
  const { name } = source
  const output = join(root, 'components', name, 'build', `${name}.wasm`)
  const stamp = `${output}.inputs`
  const started = performance.now()
  try {
    const plan = await planBuild(root, source, log)
    if (!force && (await isUpToDate(output, stamp, plan.inputs))) {
      log(`${name}: up to date`)
      return output
    }
    const kept = force ? undefined : await keptComponent(name, plan.inputs)
    if (kept === undefined) log(`${name}: building (${source.language}) …`)
    const component = kept ?? (await plan.build())
    await mkdir(dirname(output), { recursive: true })
    // The stamp goes first and names the bytes it belongs to, the component is moved into place whole: a build that is
    // interrupted, or two at once, leave no half file that looks up to date.
    await writeFile(`${output}.${process.pid}`, component)
    await writeFile(stamp, `${plan.inputs} ${sha256(component)}\n`)
    await rename(`${output}.${process.pid}`, output)
    if (kept === undefined) await keepComponent(name, plan.inputs, component)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    log(
      `${name}: ${kept ? 'kept from an earlier build' : 'built'} in ${seconds} s, ${component.length.toLocaleString('en')} bytes, sha256 ${sha256(component)}`,
    )
    return output
  } catch (error) {
    const Failure = [ToolUnobtainable, ToolMissing].find((known) => error instanceof known) ?? BuildFailure
    throw new Failure(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
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
A language whose tool is missing is named and left out, unless it was asked for by name or CI=true.
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
      console.log(`${name.padEnd(16)} ${language.padEnd(11)} ${purpose}`)
  } else {
    // Asked for by name, or by CI: then it must be there.
    const skipWithoutTool = positionals.length === 0 && process.env.CI !== 'true'
    await buildComponents(positionals, { log: console.error, force: values.force ?? false, skipWithoutTool })
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
