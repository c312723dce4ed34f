import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDirectoryFor } from '../servers/build-server.ts'
import { withMachineLock } from '../servers/machine-lock.ts'
import { lastLines, runProgram } from '../servers/run-program.ts'
import { BuildFailure, ToolMissing } from './build-failure.ts'
import type { BuildPlan } from './build-plan.ts'
import { fileParts, hashParts } from './input-hash.ts'
import { assembleWit } from './wit-text.ts'

/** Relative to the root: the exact versions, with hashes. */
const requirements = 'scripts/components/python-requirements.txt'
const install =
  'install Python 3.9 or later with pip (Debian: apt-get install python3-pip), and see that PyPI can be reached'

export async function planPython(root: string, name: string, log: (line: string) => void): Promise<BuildPlan> {
  const tools = await pythonTools(root, log)
  const wit = await assembleWit(root, name)
  const inputs = hashParts([
    ['wit', wit],
    // componentize-py carries its own CPython: the machine's does not get into the component.
    ...(await fileParts(root, [`components/${name}/src`, requirements, 'scripts/components/build-python.ts'])),
  ])
  return { inputs, build: () => buildPython(root, name, wit, tools) }
}

/** The folder with componentize-py: from PyPI, by hash, once per machine. @throws ToolMissing */
async function pythonTools(root: string, log: (line: string) => void): Promise<string> {
  const abi = await runProgram('python3', ['-c', 'import sysconfig; print(sysconfig.get_platform())'])
  if (abi.exitCode !== 0) throw new ToolMissing(`Python components need python3: ${install}`)
  const key = hashParts([
    ['platform', abi.stdout],
    ['requirements', await readFile(join(root, requirements))],
  ])
  const cache = join(cacheDirectoryFor(process.env), 'python')
  const tools = join(cache, key.slice(0, 32))
  const isThere = async () => (await readdir(tools).catch(() => [] as string[])).includes('componentize_py')
  if (await isThere()) return tools
  return withMachineLock(tools, async () => {
    if (await isThere()) return tools
    log('componentize-py: installing from PyPI …')
    await mkdir(cache, { recursive: true })
    const scratch = await mkdtemp(join(cache, '.installing-'))
    try {
      const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes']
      const result = await runProgram('python3', [...pip, '--target', scratch, '-r', join(root, requirements)])
      if (result.exitCode !== 0) {
        throw new ToolMissing(
          `Python components need componentize-py: ${install}. pip said:\n${lastLines(result.output)}`,
        )
      }
      await rename(scratch, tools)
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
    return tools
  })
}

/** Starts CPython with the program loaded and keeps its memory: 10 to 20 s. */
async function buildPython(root: string, name: string, wit: string, tools: string): Promise<Uint8Array> {
  const work = await mkdtemp(join(tmpdir(), 'herald-python-'))
  try {
    const folder = join(root, 'components', name)
    const [source, witFolder, output] = [
      join(folder, 'src'),
      join(folder, 'build', 'wit'),
      join(work, 'component.wasm'),
    ]
    // It stays: `componentize-py bindings` writes out of it what editors want to see.
    await mkdir(witFolder, { recursive: true })
    await writeFile(join(witFolder, 'world.wit'), wit)
    const script = 'import sys; from componentize_py import script; sys.argv[0] = "componentize-py"; sys.exit(script())'
    const world = ['--wit-path', witFolder, '--world', name]
    const result = await runProgram(
      'python3',
      ['-c', script, '--quiet', ...world, 'componentize', '--python-path', source, '--output', output, 'app'],
      { cwd: work, env: { ...process.env, PYTHONPATH: tools, PYTHONDONTWRITEBYTECODE: '1' } },
    )
    if (result.exitCode !== 0) throw new BuildFailure(`componentize-py failed:\n${lastLines(result.output)}`)
    return await readFile(output)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
