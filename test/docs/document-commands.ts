import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

export type DocumentCommand = {
  /** `docs/quick-start.md:12`. */
  readonly where: string
  readonly program: 'herald' | 'npm'
  readonly words: readonly string[]
}

/** The pages that people read. docs/command.md is made from the command itself, and has a test of its own. */
export const pages: readonly string[] = globSync(['README.md', 'docs/**/*.md'], { cwd: root })
  .filter((page) => page !== 'docs/command.md')
  .sort()

/** What the `sh` blocks of a page call `herald` or npm's scripts with, at the start of a line or behind a pipe. */
export function commandsOf(page: string, text = readFileSync(join(root, page), 'utf8')): readonly DocumentCommand[] {
  const commands: DocumentCommand[] = []
  for (const block of text.matchAll(/^( *)```sh\n([\s\S]*?)^\1```/gm)) {
    const firstLine = text.slice(0, block.index).split('\n').length + 1
    const lines = withoutHereDocuments((block[2] ?? '').split('\n'))
    for (const [index, line] of lines.entries()) {
      for (const part of simpleCommands(line)) {
        const [first = '', ...rest] = part
        const where = `${page}:${firstLine + index}`
        if (first === 'herald') commands.push({ where, program: 'herald', words: rest })
        else if (first === 'npm') commands.push(ofNpm(where, rest))
      }
    }
  }
  return commands
}

/** `npm run -s herald -- …` is a call of herald. */
function ofNpm(where: string, words: readonly string[]): DocumentCommand {
  const [run, ...rest] = words.filter((word) => word !== '-s')
  if (run === 'run' && rest[0] === 'herald' && rest[1] === '--') {
    return { where, program: 'herald', words: rest.slice(2) }
  }
  return { where, program: 'npm', words }
}

/** Lines that end in a backslash go on; what feeds a here-document is no command. Lines keep their numbers. */
function withoutHereDocuments(lines: readonly string[]): string[] {
  const kept = lines.map((line) => line)
  let end: string | undefined
  for (const [index, line] of lines.entries()) {
    if (end !== undefined) {
      kept[index] = ''
      if (line.trim() === end) end = undefined
    } else end = /<<-?'?(\w+)'?/.exec(line)?.[1]
  }
  for (let index = kept.length - 2; index >= 0; index--) {
    if (!kept[index]!.endsWith('\\')) continue
    kept[index] = `${kept[index]!.slice(0, -1)} ${kept[index + 1]}`
    kept[index + 1] = ''
  }
  return kept
}

/** A line as the shell takes it apart: words, by `|`, `&&` and `;`, without comments and redirections. */
function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]]
  for (const [token, double, single] of line.matchAll(/"([^"]*)"|'([^']*)'|&&|[|;]|#.*|[0-9]?>\s*\S+|[^\s|;"'&]+/g)) {
    if (/^#/.test(token)) break
    if (/^[0-9]?>/.test(token)) continue
    if (token === '|' || token === '&&' || token === ';') commands.push([])
    else commands.at(-1)!.push(double ?? single ?? token)
  }
  return commands
}
