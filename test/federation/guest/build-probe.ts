import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { componentEmbed, componentNew } from '@bytecodealliance/jco'
import { compileFlags, linkFlags } from '../../../scripts/components/build-c.ts'
import { assembleWit } from '../../../scripts/components/wit-text.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..', '..')
const bindings = join(root, 'components', 'c-bindings')

/** The component of `credentials-probe.c`, against the WIT that Herald publishes. Takes well below a second. */
export async function buildProbe(): Promise<Uint8Array> {
  const work = await mkdtemp(join(tmpdir(), 'herald-probe-'))
  try {
    const sources = [join(import.meta.dirname, 'credentials-probe.c'), join(bindings, 'canonical-abi.c')]
    const objects = sources.map((_, at) => join(work, `${at}.o`))
    for (const [at, source] of sources.entries()) {
      await run('clang', [...compileFlags, '-I', bindings, '-c', source, '-o', objects[at] ?? ''])
    }
    const core = join(work, 'core.wasm')
    await run('wasm-ld', [...linkFlags, '-o', core, ...objects])
    const embedded = await componentEmbed({ binary: await readFile(core), witSource: await wit(), world: 'probe' })
    return await componentNew(embedded, [])
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function wit(): Promise<string> {
  const world = `package test:probe;
world probe {
  import herald:credentials/store@0.1.0;
  import wasi:cli/environment@0.2.12;
  import wasi:cli/stdout@0.2.12;
  export wasi:cli/run@0.2.12;
}
`
  const published = await readFile(join(root, 'wit', 'herald-credentials', 'credentials.wit'), 'utf8')
  const nested = published
    .replace(/package herald:credentials@0\.1\.0;/, 'package herald:credentials@0.1.0 {')
    .concat('}\n')
  // WASI as the C components get it, with this world instead of theirs.
  const wasi = (await assembleWit(root, 'hello-cli-c')).replace(/^package [^;]+;[^}]*\}/, world)
  return `${wasi}\n${nested}`
}
