import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco'
import { compileFlags, linkFlags } from '../../../scripts/components/build-c.ts'
import { assembleWit } from '../../../scripts/components/wit-text.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..', '..')
const bindings = join(root, 'components', 'c-bindings')

/** A component from WAT of its core module and WIT. */
export async function watComponent(wat: string, witSource: string, world: string): Promise<Uint8Array> {
  const embedded = await componentEmbed({ binary: await parse(wat), witSource, world })
  return await componentNew(embedded, [])
}

/** The component of `faults.c`. */
export function faultsComponent(): Promise<Uint8Array> {
  return guestInC(import.meta.dirname, 'faults')
}

/** The component of `<name>.c` and `<name>.wit` in a folder: built once, kept under `build/` by what it is made of. */
export async function guestInC(directory: string, name: string): Promise<Uint8Array> {
  const source = join(directory, `${name}.c`)
  const world = await readFile(join(directory, `${name}.wit`), 'utf8')
  const witSource = (await assembleWit(root, 'hello-c')).replace(/^package [^;]+;[^}]*\}/, world)
  const hash = createHash('sha256').update(witSource).update(compileFlags.join(' ')).update(linkFlags.join(' '))
  for (const file of [
    source,
    ...['buffer.h', 'canonical-abi.c', 'canonical-abi.h', 'wasi-cli.h', 'wasi-http.h', 'wasi-io.h'].map((name) =>
      join(bindings, name),
    ),
  ]) {
    hash.update(await readFile(file))
  }
  const kept = join(root, 'build', 'guests', `${name}-${hash.digest('hex').slice(0, 16)}.wasm`)
  const built = await readFile(kept).catch(() => undefined)
  if (built !== undefined) return built
  const work = await mkdtemp(join(tmpdir(), 'herald-guest-'))
  try {
    const objects = [source, join(bindings, 'canonical-abi.c')].map((file, at) => ({
      file,
      object: join(work, `${at}.o`),
    }))
    for (const { file, object } of objects)
      await run('clang', [...compileFlags, '-I', bindings, '-c', file, '-o', object])
    const core = join(work, 'core.wasm')
    await run('wasm-ld', [...linkFlags, '-o', core, ...objects.map(({ object }) => object)])
    const embedded = await componentEmbed({ binary: await readFile(core), witSource, world: name })
    const component = await componentNew(embedded, [])
    await mkdir(join(root, 'build', 'guests'), { recursive: true })
    await writeFile(`${kept}.${process.pid}`, component)
    await rename(`${kept}.${process.pid}`, kept)
    return component
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
