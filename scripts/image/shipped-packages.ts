import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

/** A package of node_modules that Herald's code reaches. */
export type ShippedPackage = {
  readonly name: string
  readonly version: string
  /** Absolute. */
  readonly directory: string
}

/**
 * The packages that some import or require reaches from Herald's sources, through whatever lies between. npm's production dependencies
 * are three times as large: jco also brings compilers that only its own command uses.
 * @throws if a specifier cannot be resolved
 */
export async function findShippedPackages(root: string): Promise<readonly ShippedPackage[]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: globSync('src/**/*.ts', { cwd: root }),
    bundle: true,
    write: false,
    outdir: 'nowhere',
    platform: 'node',
    format: 'esm',
    metafile: true,
    logLevel: 'silent',
    loader: { '.node': 'file' },
  })
  const directories = new Set<string>()
  for (const input of Object.keys(metafile.inputs)) {
    const [, directory] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? []
    if (directory !== undefined) directories.add(resolve(root, directory))
  }
  return [...directories].sort().map((directory) => {
    const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as ShippedPackage
    return { name, version, directory }
  })
}
