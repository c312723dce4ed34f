import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The WASI version our components are built against, where their world does not name another; jco carries it. */
export const wasiVersion = '0.2.12'
const wasiPackages = ['io', 'clocks', 'random', 'filesystem', 'sockets', 'cli', 'http']

/**
 * One WIT text with the component's own world first and every package it may name after it, nested: WASI's from the installed
 * jco package, ours from `wit/`. A text needs no directory tree of dependencies, and no file access by the tools.
 */
export async function assembleWit(root: string, componentName: string): Promise<string> {
  const wasiRoot = join(root, 'node_modules', '@bytecodealliance', 'jco', 'lib', 'wit', 'builtin', wasiVersion)
  const ours = await directories(join(root, 'wit'))
  const available = new Map<string, string>()
  for (const directory of [
    ...wasiPackages.map((name) => join(wasiRoot, `wasi-${name}`)),
    ...ours.map((name) => join(root, 'wit', name)),
  ]) {
    const text = await readWit(directory)
    const name = packageLine.exec(text)?.[1]?.replace(/@.*$/, '')
    if (name !== undefined) available.set(name, text)
  }

  // Only what the world names, and what that names: another package that changes is no reason to build again.
  const own = await readWit(join(root, 'components', componentName, 'wit'))
  const needed = new Map<string, string>()
  const visit = (text: string): void => {
    for (const [, name] of text.matchAll(/([a-z][a-z0-9-]*:[a-z][a-z0-9-]*)\//g)) {
      const found = available.get(name!)
      if (found === undefined || needed.has(name!)) continue
      needed.set(name!, found)
      visit(found)
    }
  }
  visit(own)
  // A world may ask for an older 0.2.x: what it uses of the newer text was there too, and the component says the older version.
  const asked = /\bwasi:[a-z]+\/[a-z-]+@(0\.2\.\d+)(?![\d-])/.exec(own)?.[1] ?? wasiVersion
  const packages = [...needed.values()].map((text) => nest(text).replaceAll(`@${wasiVersion}`, `@${asked}`))
  return [own, ...packages].join('\n')
}

async function readWit(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.wit')).sort()
  const files = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))
  return files.join('\n')
}

async function directories(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

const packageLine = /^package\s+([^;]+);/m

/** `package a:b;` and what follows → `package a:b { … }`. */
function nest(text: string): string {
  return `package ${packageLine.exec(text)?.[1]} {\n${text.replaceAll(new RegExp(packageLine, 'gm'), '')}\n}`
}
