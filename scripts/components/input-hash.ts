import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** SHA-256 over named parts, in order; every part is preceded by its name and length, so that no two lists look alike. */
export function hashParts(parts: readonly (readonly [name: string, content: string | Uint8Array])[]): string {
  const hash = createHash('sha256')
  for (const [name, content] of parts) {
    const bytes = Buffer.from(content as Uint8Array)
    hash.update(`${name}\0${bytes.length}\0`).update(bytes)
  }
  return hash.digest('hex')
}

/** These files, and every file below these folders but what is only for people to read, as parts for `hashParts`; paths relative to `root`. */
export async function fileParts(root: string, paths: readonly string[]): Promise<[string, Uint8Array][]> {
  const parts: [string, Uint8Array][] = []
  for (const path of paths) {
    const directory = join(root, path)
    if ((await stat(directory)).isFile()) {
      parts.push([path, await readFile(directory)])
      continue
    }
    const entries = await readdir(directory, { withFileTypes: true, recursive: true })
    const files = entries
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
      .map((entry) => join(entry.parentPath, entry.name))
    for (const file of files.sort()) parts.push([file.slice(root.length), await readFile(file)])
  }
  return parts
}

export async function installedVersion(root: string, packageName: string): Promise<string> {
  const text = await readFile(join(root, 'node_modules', packageName, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
