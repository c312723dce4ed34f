import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { componentEmbed, componentNew } from '@bytecodealliance/jco'
import { lastLines, runProgram } from '../servers/run-program.ts'
import { BuildFailure, ToolMissing } from './build-failure.ts'
import type { BuildPlan } from './build-plan.ts'
import { fileParts, hashParts, installedVersion } from './input-hash.ts'
import { assembleWit } from './wit-text.ts'

const flags = [
  // A reactor: it exports functions, and stays.
  '-buildmode=c-shared',
  '-trimpath',
  '-buildvcs=false',
  // The program allocates with the runtime's sbrk before Go has started: see realloc.go.
  '-ldflags=-s -w -checklinkname=0',
]
const environment = { GOOS: 'wasip1', GOARCH: 'wasm', CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '' }

export async function planGo(root: string, name: string): Promise<BuildPlan> {
  const folder = join(root, 'components', name)
  const go = await runProgram('go', ['env', 'GOVERSION'], { cwd: folder, env: { ...process.env, ...environment } })
  if (go.startError !== undefined)
    throw new ToolMissing('Go components need Go 1.24 or later: install it, and put it on PATH')
  if (go.exitCode !== 0) throw new ToolMissing(`Go components need Go 1.24 or later; go said:\n${lastLines(go.output)}`)
  const wit = await assembleWit(root, name)
  const inputs = hashParts([
    ['go', go.stdout],
    ['jco', await installedVersion(root, '@bytecodealliance/jco')],
    ['wit', wit],
    ...(await fileParts(root, [
      `components/${name}/src`,
      `components/${name}/go.mod`,
      'scripts/components/build-go.ts',
    ])),
  ])
  return { inputs, build: () => buildGo(root, folder, name, wit) }
}

/** Go's own target is WASI's preview 1; an adapter, which jco carries, makes preview 2 of it. */
async function buildGo(root: string, folder: string, name: string, witSource: string): Promise<Uint8Array> {
  const work = await mkdtemp(join(tmpdir(), 'herald-go-'))
  try {
    const core = join(work, 'core.wasm')
    const result = await runProgram('go', ['build', ...flags, '-o', core, './src'], {
      cwd: folder,
      env: { ...process.env, ...environment },
    })
    if (result.exitCode !== 0) throw new BuildFailure(`go build failed:\n${lastLines(result.output)}`)
    const jco = join(root, 'node_modules', '@bytecodealliance', 'jco')
    const adapter = await readFile(join(jco, 'lib', 'wasi_snapshot_preview1.reactor.wasm'))
    const embedded = await componentEmbed({ binary: await readFile(core), witSource, world: name })
    return await componentNew(embedded, [['wasi_snapshot_preview1', adapter]])
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
