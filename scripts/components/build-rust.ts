import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { cacheDirectoryFor } from '../servers/build-server.ts'
import { withMachineLock } from '../servers/machine-lock.ts'
import { lastLines, runProgram } from '../servers/run-program.ts'
import { BuildFailure, ToolMissing, ToolUnobtainable } from './build-failure.ts'
import type { BuildPlan } from './build-plan.ts'
import { fileParts, hashParts } from './input-hash.ts'
import { assembleWit } from './wit-text.ts'

const target = 'wasm32-wasip2'
const install = `install Rust with rustup, then: rustup target add ${target}`

export async function planRust(root: string, name: string, log: (line: string) => void): Promise<BuildPlan> {
  const folder = `components/${name}`
  const rustc = await rustVersion(root, log)
  const wit = await assembleWit(root, name)
  const lock = await readFile(join(root, folder, 'Cargo.lock'))
  const inputs = hashParts([
    ['rustc', rustc],
    ['wit', wit],
    ...(await fileParts(root, [
      `${folder}/src`,
      `${folder}/Cargo.toml`,
      `${folder}/Cargo.lock`,
      'scripts/components/build-rust.ts',
    ])),
  ])
  // Dependencies are compiled once for all checkouts on this machine.
  const kept = hashParts([
    ['rustc', rustc],
    ['lock', lock],
  ]).slice(0, 16)
  const targetDirectory = join(cacheDirectoryFor(process.env), 'rust', `${name}-${kept}`)
  return { inputs, build: () => buildRust(root, name, wit, targetDirectory) }
}

async function buildRust(root: string, name: string, wit: string, targetDirectory: string): Promise<Uint8Array> {
  const folder = join(root, 'components', name)
  // Where the macro of wit-bindgen looks for it; it stays, so that cargo and editors work in this folder too.
  await mkdir(join(folder, 'build', 'wit'), { recursive: true })
  await writeFile(join(folder, 'build', 'wit', 'world.wit'), wit)
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  return withMachineLock(targetDirectory, async () => {
    const result = await runProgram('cargo', ['build', '--release', '--locked', '--target', target], {
      cwd: folder,
      env: {
        ...process.env,
        CARGO_TARGET_DIR: targetDirectory,
        // Panics name files: none of this machine's paths.
        RUSTFLAGS: `--remap-path-prefix=${cargoHome}=/cargo --remap-path-prefix=${folder}=/${name}`,
      },
    })
    if (result.startError !== undefined) throw new ToolMissing(`Rust components need cargo: ${install}`)
    if (result.exitCode !== 0) throw new BuildFailure(`cargo failed:\n${lastLines(result.output)}`)
    return readFile(join(targetDirectory, target, 'release', `${name.replaceAll('-', '_')}.wasm`))
  })
}

/** `rustc -vV`, once the target's standard library is there; with rustup it is fetched. @throws ToolMissing */
async function rustVersion(root: string, log: (line: string) => void): Promise<string> {
  const [version, library] = await Promise.all([
    runProgram('rustc', ['-vV'], { cwd: root }),
    runProgram('rustc', ['--print', 'target-libdir', '--target', target], { cwd: root }),
  ])
  if (version.startError !== undefined || version.exitCode !== 0)
    throw new ToolMissing(`Rust components need rustc and cargo: ${install}`)
  const parts = await fileParts(library.stdout.trim(), ['.']).catch(() => [])
  if (!parts.some(([file]) => file.includes('libstd-'))) {
    log(`rustup target add ${target} …`)
    const added = await runProgram('rustup', ['target', 'add', target], { cwd: root })
    if (added.startError !== undefined)
      throw new ToolMissing(
        `Rust components need the standard library of ${target}, and there is no rustup: ${install}`,
      )
    if (added.exitCode !== 0) {
      throw new ToolUnobtainable(
        `Rust components need the standard library of ${target}, which is in no package registry; rustup said:\n${lastLines(added.output)}`,
      )
    }
  }
  return version.stdout
}
