import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BuildOptions } from './build-project.ts'
import { runTool } from './build-tool.ts'
import type { ProjectWit } from './project-wit.ts'

/** `src/app.py` by componentize-py, of the project's .venv or of the PATH: it keeps the memory of a CPython that has loaded the program. */
export async function buildPython(
  project: string,
  { world, text }: ProjectWit,
  { signal }: BuildOptions,
): Promise<Uint8Array> {
  const own = join(project, '.venv', 'bin', 'componentize-py')
  const work = await mkdtemp(join(tmpdir(), 'herald-build-'))
  try {
    const [wit, output] = [join(work, 'world.wit'), join(work, 'component.wasm')]
    await writeFile(wit, text)
    const source = ['--python-path', join(project, 'src'), '--output', output]
    await runTool(
      existsSync(own) ? own : 'componentize-py',
      ['--quiet', '--wit-path', wit, '--world', world, 'componentize', ...source, 'app'],
      {
        cwd: work,
        signal,
        install: 'run in the project: python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1',
        environment: { PYTHONDONTWRITEBYTECODE: '1' },
      },
    )
    return await readFile(output)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
