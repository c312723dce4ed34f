import { blocksOf, type DocumentBlock, shells } from './document-blocks.ts'

export type DocumentCommand = {
  /** `docs/quick-start.md:12`. */
  readonly where: string
  /** The first word; a call of `herald` through npm is one of `herald`. */
  readonly program: string
  readonly words: readonly string[]
}

/** What the `sh` blocks of a page call, at the start of a line or behind a pipe. What feeds a here-document is no command. */
export function commandsOf(page: string, text?: string): readonly DocumentCommand[] {
  return blocksOf(page, text)
    .filter(({ language }) => shells.includes(language))
    .flatMap(commandsOfBlock)
}

export function commandsOfBlock({ page, line, text }: DocumentBlock): readonly DocumentCommand[] {
  return commandLines(text.split('\n')).flatMap((each, index) =>
    simpleCommands(each).flatMap(([program = '', ...words]) =>
      program === '' ? [] : [commandOf(`${page}:${line + index}`, program, words)],
    ),
  )
}

/** `npm run -s herald -- …` is a call of herald. */
function commandOf(where: string, program: string, words: readonly string[]): DocumentCommand {
  if (program !== 'npm') return { where, program, words }
  const [run, ...rest] = words.filter((word) => word !== '-s')
  if (run === 'run' && rest[0] === 'herald' && rest[1] === '--') {
    return { where, program: 'herald', words: rest.slice(2) }
  }
  return { where, program, words }
}

/** Lines that end in a backslash go on; what feeds a here-document is left out. Lines keep their numbers. */
export function commandLines(lines: readonly string[]): string[] {
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
  for (const [token, double, single] of line.matchAll(
    /"([^"]*)"|'([^']*)'|&&|[|;]|#.*|[0-9]?>\s*\S+|<<\S+|[^\s|;"'&]+/g,
  )) {
    if (/^#/.test(token)) break
    if (/^([0-9]?>|<<)/.test(token)) continue
    if (token === '|' || token === '&&' || token === ';') commands.push([])
    else commands.at(-1)!.push(double ?? single ?? token)
  }
  return commands
}
