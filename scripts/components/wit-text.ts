import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The WASI version our components are built against; jco carries it. */
export const wasiVersion = '0.2.12'
const wasiPackages = ['io', 'clocks', 'random', 'filesystem', 'sockets', 'cli', 'http']

/**
 * One WIT text with the component's own world first and every package it may name after it, nested: WASI's from the installed
 * jco package, ours from `wit/`. A text needs no directory tree of dependencies, and no file access by the tools.
 */
export async function assembleWit(root: string, componentName: string): Promise<string> {
  const wasiRoot = join(root, 'node_modules', '@bytecodealliance', 'jco', 'lib', 'wit', 'builtin', wasiVersion)
  const own = await readWit(join(root, 'components', componentName, 'wit'))
  const wasi = await Promise.all(wasiPackages.map((name) => readWit(join(wasiRoot, `wasi-${name}`))))
  const ours = await Promise.all((await directories(join(root, 'wit'))).map((name) => readWit(join(root, 'wit', name))))
  return [own, ...[...wasi, ...ours].map(nest)].join('\n')
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

/** `package a:b;` and what follows → `package a:b { … }`. A folder without a package is passed over. */
function nest(text: string): string {
  const declaration = packageLine.exec(text)
  if (declaration === null) return ''
  return `package ${declaration[1]} {\n${text.replaceAll(new RegExp(packageLine, 'gm'), '')}\n}`
}
