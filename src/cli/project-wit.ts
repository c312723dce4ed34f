import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { packageFolder, packageRoot } from './package-files.ts'

/** The WASI version of the texts that jco carries; what a world names of an older 0.2.x was there too. */
const carriedVersion = '0.2.12'
const wasiPackages = ['io', 'clocks', 'random', 'filesystem', 'sockets', 'cli', 'http']

export type ProjectWit = {
  readonly world: string
  /** The world, and every package under `wit/deps`, in one text. */
  readonly text: string
}

/** Reads `wit/*.wit` and `wit/deps`, as all tools lay them out. @throws ERR_BUILD_FAILED */
export async function readProjectWit(project: string): Promise<ProjectWit> {
  const folder = join(project, 'wit')
  const own = await readFolder(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new HeraldError('ERR_BUILD_FAILED', 'there is no wit/ with the world of the component', {
      where: { file: project },
      hint: 'make a project that has one: herald new c NAME',
      cause,
    })
  })
  const world = /^world\s+([a-z][a-z0-9-]*)/m.exec(own)?.[1]
  if (world === undefined) {
    throw new HeraldError('ERR_BUILD_FAILED', 'no world is declared', { where: { file: folder } })
  }
  const dependencies = await readdir(join(folder, 'deps')).catch(() => [] as string[])
  const texts = await Promise.all(dependencies.sort().map((name) => readFolder(join(folder, 'deps', name))))
  return { world, text: [own, ...texts.map(nest)].join('\n') }
}

/** Writes under `wit/deps` every package that the world names, and what those name: WASI's and Herald's own. */
export async function writeWitDependencies(project: string): Promise<void> {
  const own = await readFolder(join(project, 'wit'))
  const jco = packageFolder('@bytecodealliance/jco', packageRoot)
  const wasi = join(jco ?? '', 'lib', 'wit', 'builtin', carriedVersion)
  const ours = await readdir(join(packageRoot, 'wit'))
  const available = new Map<string, string>()
  for (const folder of [
    ...wasiPackages.map((name) => join(wasi, `wasi-${name}`)),
    ...ours.map((name) => join(packageRoot, 'wit', name)),
  ]) {
    const text = await readFolder(folder)
    const name = nameOf(text)
    if (name !== undefined) available.set(name, text)
  }
  const needed = new Set<string>()
  const visit = (text: string): void => {
    for (const [, name = ''] of text.matchAll(/([a-z][a-z0-9-]*:[a-z][a-z0-9-]*)\//g)) {
      const found = available.get(name)
      if (found === undefined || needed.has(name)) continue
      needed.add(name)
      visit(found)
    }
  }
  visit(own)
  const asked = /\bwasi:[a-z]+\/[a-z-]+@(0\.2\.\d+)(?![\d-])/.exec(own)?.[1] ?? carriedVersion
  for (const name of needed) {
    const folder = join(project, 'wit', 'deps', name.replace(':', '-'))
    await mkdir(folder, { recursive: true })
    const text = (available.get(name) ?? '').replaceAll(`@${carriedVersion}`, `@${asked}`)
    await writeFile(join(folder, 'package.wit'), text)
  }
}

/** All files of a package as one text: its package line once, and first. */
async function readFolder(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.wit')).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  const joined = texts.join('\n')
  const line = packageLine.exec(joined)?.[0]
  return line === undefined ? joined : `${line}\n${joined.replaceAll(new RegExp(packageLine, 'gm'), '')}`
}

const packageLine = /^package\s+[^;{]+;/m

const nameOf = (text: string): string | undefined => /^package\s+([^;@]+)/m.exec(text)?.[1]?.trim()

/** `package a:b;` and what follows → `package a:b { … }`. */
function nest(text: string): string {
  const line = packageLine.exec(text)?.[0] ?? ''
  return `${line.slice(0, -1)} {\n${text.replace(line, '')}\n}`
}
