import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wrapCoreModule } from '../engine/wrap-core-module.ts'
import type { BuildOptions } from './build-project.ts'
import { buildFailed, runTool } from './build-tool.ts'
import { packageFolder, packageRoot } from './package-files.ts'
import type { ProjectWit } from './project-wit.ts'

/** A reactor, which exports functions and stays; its `realloc.go` allocates with the runtime's own sbrk before Go has started. */
const flags = ['-buildmode=c-shared', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -checklinkname=0']
const environment = { GOOS: 'wasip1', GOARCH: 'wasm', CGO_ENABLED: '0', GOFLAGS: '' }

/** `./src` by Go 1.24 or later; Go's own target is WASI's preview 1, and an adapter makes preview 2 of it. */
export async function buildGo(
  project: string,
  { world, text }: ProjectWit,
  { signal }: BuildOptions,
): Promise<Uint8Array> {
  const work = await mkdtemp(join(tmpdir(), 'herald-build-'))
  try {
    const core = join(work, 'core.wasm')
    const install = 'install Go 1.24 or later'
    await runTool('go', ['build', ...flags, '-o', core, './src'], { cwd: project, signal, install, environment })
    const jco = packageFolder('@bytecodealliance/jco', packageRoot) ?? ''
    const adapter = await readFile(join(jco, 'lib', 'wasi_snapshot_preview1.reactor.wasm'))
    const adapters = { wasi_snapshot_preview1: adapter }
    return await wrapCoreModule(await readFile(core), { wit: text, world, adapters }).catch((cause: unknown) => {
      throw buildFailed(`the module is no component of the world ${world}`, String(cause), cause)
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
