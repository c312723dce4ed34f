// Links between pages and to the source lead somewhere, with the heading they name.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const pages = globSync(['README.md', 'ARCHITECTURE.md', 'docs/**/*.md', 'components/README.md'], { cwd: root })

test('every link of every page leads to a file, and to a heading of it', () => {
  const broken = pages.flatMap((page) => brokenLinks(page, readFileSync(join(root, page), 'utf8')))
  assert.deepEqual(broken, [])
})

test('a link to no file, and to no heading, is found', () => {
  const text =
    '[a](no-such.md) [b](security.md#no-such) [c](#here) [d](security.md#known-limits) [e](https://x.org/y)\n## Here\n'
  assert.deepEqual(brokenLinks('docs/x.md', text), ['docs/x.md: no-such.md', 'docs/x.md: security.md#no-such'])
})

test('every page of docs/ can be reached from its index', () => {
  const reached = new Set<string>()
  const follow = (page: string): void => {
    if (reached.has(page)) return
    reached.add(page)
    for (const link of linksOf(readFileSync(join(root, page), 'utf8'))) {
      const target = relative(root, join(root, dirname(page), link.split('#')[0] ?? ''))
      if (!existsSync(join(root, target))) continue
      if (target.endsWith('.md')) follow(target)
      // A link to a folder shows all that is in it.
      else if (target.startsWith('docs/')) for (const each of globSync(`${target}/*.md`, { cwd: root })) follow(each)
    }
  }
  follow('docs/README.md')
  const missing = globSync('docs/**/*.md', { cwd: root }).filter((page) => !reached.has(page))
  assert.deepEqual(missing, [], 'link it from docs/README.md')
})

function brokenLinks(page: string, text: string): string[] {
  return linksOf(text)
    .filter((link) => {
      const [file = '', anchor] = link.split('#')
      const path = file === '' ? undefined : join(root, dirname(page), file)
      if (path !== undefined && !existsSync(path)) return true
      if (anchor === undefined || (path !== undefined && !path.endsWith('.md'))) return false
      return !anchorsOf(path === undefined ? text : readFileSync(path, 'utf8')).has(anchor)
    })
    .map((link) => `${page}: ${link}`)
}

function linksOf(text: string): string[] {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^[a-z]+:/.test(link))
}

/** As GitHub makes them: lower case, without punctuation, spaces as hyphens; and those that are written out. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id)])
}
