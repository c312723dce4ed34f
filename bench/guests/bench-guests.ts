import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { componentize } from '@bytecodealliance/componentize-js'
import { assembleWit } from '../../scripts/components/wit-text.ts'
import { guestInC } from '../../test/engine/guests/build-guest.ts'

const root = join(import.meta.dirname, '..', '..')
const kept = join(root, 'build', 'guests')

export type BenchGuest = 'bench' | 'imports' | 'hello-js'

/** The component's file; built where it is not there, which takes seconds for JavaScript. Needs clang, wasm-ld and wasi-libc. */
export async function benchGuest(name: BenchGuest): Promise<string> {
  if (name === 'hello-js') return helloInJavaScript()
  const bytes = await guestInC(import.meta.dirname, name)
  return keep(`bench-${name}-${hashOf(bytes)}.wasm`, async () => bytes)
}

async function helloInJavaScript(): Promise<string> {
  const sourcePath = join(import.meta.dirname, 'hello.js')
  const source = await readFile(sourcePath)
  const wit = await assembleWit(root, 'hello-c')
  return keep(`bench-hello-js-${hashOf(source, wit)}.wasm`, async () => {
    // `witWorld` is read by componentize-js but missing in its types.
    const options = {
      sourcePath,
      witWorld: wit,
      worldName: 'hello-c',
      disableFeatures: ['fetch-event' as const],
    }
    const { component } = await componentize(options)
    return component
  })
}

async function keep(name: string, build: () => Promise<Uint8Array>): Promise<string> {
  const file = join(kept, name)
  if (await readFile(file).catch(() => undefined)) return file
  const bytes = await build()
  await mkdir(kept, { recursive: true })
  await writeFile(`${file}.${process.pid}`, bytes)
  await rename(`${file}.${process.pid}`, file)
  return file
}

function hashOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex').slice(0, 16)
}
