import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { componentize } from '@bytecodealliance/componentize-js'
import { build, type Plugin } from 'esbuild'
import type { BuildPlan } from './build-plan.ts'
import type { ComponentSource } from './catalog.ts'
import { fileParts, hashParts, installedVersion } from './input-hash.ts'
import { assembleWit } from './wit-text.ts'

type JavaScriptSource = ComponentSource & { language: 'javascript' }

export async function planJavaScript(root: string, source: JavaScriptSource): Promise<BuildPlan> {
  const { name, entry, style } = source
  const wit = await assembleWit(root, name)
  const bundle = await bundleJavaScript(root, name, entry)
  const inputs = hashParts([
    ['componentize-js', await installedVersion(root, '@bytecodealliance/componentize-js')],
    ['wit', wit],
    ['style', style],
    // The bundle stands for all its sources, the SDK's and the bundler's versions among them.
    ['bundle', bundle],
    ...(await fileParts(root, ['scripts/components/build-javascript.ts'])),
  ])
  return { inputs, build: () => componentizeJavaScript(bundle, source, wit) }
}

/**
 * The whole program as one module for an engine that is no browser and no Node: packages give their browser builds, WIT imports
 * stay imports, HTML files become strings.
 */
export async function bundleJavaScript(root: string, name: string, entry: string): Promise<Uint8Array> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [join('components', name, entry)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    external: ['wasi:*', 'wasmcloud:*', 'herald:*'],
    loader: { '.html': 'text' },
    plugins: [xmlWithoutDom],
    logLevel: 'silent',
  })
  return result.outputFiles[0]!.contents
}

/** The AWS SDK's browser build parses XML with DOMParser, which the engine has not; its own parser for Node is plain JavaScript. */
const xmlWithoutDom: Plugin = {
  name: 'xml-without-dom',
  setup(bundler) {
    bundler.onResolve({ filter: /\/xml-parser$/ }, async ({ importer, resolveDir }) => {
      if (!importer.includes(join('@aws-sdk', 'xml-builder'))) return undefined
      return { path: join(resolveDir, 'xml-parser.js') }
    })
  },
}

/** Snapshots the bundle's started engine (StarlingMonkey) into a component. Takes 5 to 20 s. */
async function componentizeJavaScript(
  bundle: Uint8Array,
  { name, style }: JavaScriptSource,
  witSource: string,
): Promise<Uint8Array> {
  const work = await mkdtemp(join(tmpdir(), 'herald-js-'))
  try {
    // The name shows in the component's stack traces.
    const sourcePath = join(work, `${name}.js`)
    await writeFile(sourcePath, bundle)
    // `witWorld` is read by componentize-js 0.23 but missing in its types.
    const options = {
      sourcePath,
      witWorld: witSource,
      worldName: name,
      disableFeatures: style === 'fetch-event' ? [] : ['fetch-event' as const],
    }
    const { component } = await componentize(options)
    return component
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
