import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Where Herald itself is installed: two folders up both in src and in dist. */
export const packageRoot = fileURLToPath(new URL('../../', import.meta.url))

/** The folder of an installed package, looked for as `from` would; `undefined` when it is not there. */
export function packageFolder(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return candidate
    if (dirname(folder) === folder) return undefined
  }
}

/** What `import` of a package gives from the project in `from`; `undefined` when it is not installed there. */
export async function importFrom(name: string, from: string): Promise<unknown> {
  const folder = packageFolder(name, from)
  if (folder === undefined) return undefined
  const { exports, main } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageEntry
  const entry = entryOf((exports as Record<string, unknown> | undefined)?.['.'] ?? exports) ?? main ?? 'index.js'
  return import(pathToFileURL(join(folder, entry)).href)
}

type PackageEntry = { readonly exports?: unknown; readonly main?: string }

/** As Node resolves the conditions of an import: the first one that holds. */
function entryOf(target: unknown): string | undefined {
  if (typeof target === 'string') return target
  if (typeof target !== 'object' || target === null) return undefined
  for (const [condition, inner] of Object.entries(target)) {
    const entry = ['node', 'import', 'default'].includes(condition) ? entryOf(inner) : undefined
    if (entry !== undefined) return entry
  }
  return undefined
}
