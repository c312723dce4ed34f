// The blocks of docs/federation that `herald trust` prints. Run this file with --write to print them anew.
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CliEnvironment } from '../../src/cli/environment.ts'
import { createProgram } from '../../src/cli/program.ts'

const directory = join(import.meta.dirname, '../../docs/federation')

export const pages: readonly string[] = globSync('*.md', { cwd: directory }).map((name) => join(directory, name))

/** The page with every block that follows a `herald trust` command replaced by what the command prints. */
export async function printBlocks(text: string): Promise<string> {
  const parts: string[] = []
  let from = 0
  for (const match of text.matchAll(/```sh\nherald (trust [^\n]+)\n```\n\n```sh\n([\s\S]*?)```/g)) {
    const [whole, command = '', block = ''] = match
    parts.push(
      text.slice(from, match.index),
      whole.slice(0, whole.length - block.length - 3),
      await run(command),
      '```',
    )
    from = match.index + whole.length
  }
  return parts.join('') + text.slice(from)
}

async function run(command: string): Promise<string> {
  let printed = ''
  const environment = {
    cwd: directory,
    noColor: true,
    stdout: { write: (text: string) => (printed += text) },
    stderr: { write: () => {} },
  } as unknown as CliEnvironment
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
  await createProgram(environment).parseAsync(words, { from: 'user' })
  return printed
}

if (process.argv.includes('--write')) {
  for (const page of pages) writeFileSync(page, await printBlocks(readFileSync(page, 'utf8')))
}
