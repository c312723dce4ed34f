import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** A fenced block of a page. */
export type DocumentBlock = {
  /** From the root: `docs/quick-start.md`. */
  readonly page: string
  /** Of the block's first line of text. */
  readonly line: number
  /** What stands behind the fence; empty for none. */
  readonly language: string
  /** Without the indentation of its fence. */
  readonly text: string
}

/** The pages that people read. docs/command.md is made from the command itself, and has a test of its own. */
export const pages: readonly string[] = globSync(
  [
    ...['README.md', 'ARCHITECTURE.md', 'docs/**/*.md', 'charts/**/README.md'],
    ...['components/**/README.md', 'test/**/README.md', 'bench/**/README.md'],
  ],
  { cwd: root, exclude: (name) => name.endsWith('node_modules') },
)
  .filter((page) => page !== 'docs/command.md')
  .sort()

/** Languages of blocks that hold commands. */
export const shells: readonly string[] = ['sh', 'bash']

export function blocksOf(page: string, text = readFileSync(join(root, page), 'utf8')): readonly DocumentBlock[] {
  return [...text.matchAll(/^( *)```([a-z]*)\n([\s\S]*?)^\1```/gm)].map(
    ({ index, 1: indent = '', 2: language = '', 3: body = '' }) => ({
      page,
      line: text.slice(0, index).split('\n').length + 1,
      language,
      text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  )
}
