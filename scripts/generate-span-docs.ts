// Writes the table of spans in docs/telemetry.md from src/observability/span-catalog.ts. A test fails when it has not been run after a change of the catalog.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type SpanDefinition, spanCatalog } from '../src/observability/span-catalog.ts'

export const spanDocsPath = join(import.meta.dirname, '..', 'docs', 'telemetry.md')

const start =
  '<!-- Generated from src/observability/span-catalog.ts by scripts/generate-span-docs.ts: do not edit. -->\n'
const end = '<!-- End of what is generated. -->\n'

/** The page with the table as it is to be. @throws when the page has no place for it */
export function withSpanTable(page: string): string {
  const [before, rest] = page.split(start)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error('docs/telemetry.md has lost the place of its table')
  return `${before}${start}${spanTable()}${end}${after}`
}

function spanTable(): string {
  const rows = Object.entries<SpanDefinition>(spanCatalog).map(
    ([type, { shown = type, kind, when, parent, attributes }]) => {
      const each = Object.entries(attributes).map(([name, values]) => `\`${name}\`: ${values}`)
      const cells = [`\`${shown}\`, ${kind}`, when, parent, each.join('<br>')]
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
    },
  )
  return `| span | when | parent | attributes |\n|---|---|---|---|\n${rows.join('')}`
}

if (import.meta.main) await writeFile(spanDocsPath, withSpanTable(await readFile(spanDocsPath, 'utf8')))
