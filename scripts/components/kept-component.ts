import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectoryFor } from '../servers/build-server.ts'

/** Builds of one component kept on this machine; more are forgotten, the oldest first. */
const keptPerComponent = 4

/** What any checkout on this machine built from these inputs before, so that a fresh one need not build it. */
export async function keptComponent(name: string, inputs: string): Promise<Uint8Array | undefined> {
  return readFile(pathOf(name, inputs)).catch(() => undefined)
}

/** Where there is no room for it, or no right to write, nothing is kept. */
export async function keepComponent(name: string, inputs: string, component: Uint8Array): Promise<void> {
  const path = pathOf(name, inputs)
  try {
    await mkdir(directoryOf(), { recursive: true })
    await writeFile(`${path}.${process.pid}`, component)
    await rename(`${path}.${process.pid}`, path)
    await forgetOldest(name)
  } catch {
    await rm(`${path}.${process.pid}`, { force: true })
  }
}

async function forgetOldest(name: string): Promise<void> {
  const builds = (await readdir(directoryOf())).filter((file) => /^.+-[0-9a-f]{64}\.wasm$/.test(file))
  const own = builds.filter((file) => file.length === name.length + 70 && file.startsWith(`${name}-`))
  const ages = await Promise.all(
    own.map(async (file) => ({ file, at: (await stat(join(directoryOf(), file))).mtimeMs })),
  )
  for (const { file } of ages.sort((a, b) => b.at - a.at).slice(keptPerComponent)) {
    await rm(join(directoryOf(), file), { force: true })
  }
}

function pathOf(name: string, inputs: string): string {
  return join(directoryOf(), `${name}-${inputs}.wasm`)
}

function directoryOf(): string {
  return join(cacheDirectoryFor(process.env), 'components')
}
