// Writes docs/errors.md from src/errors/error-codes.ts. A test fails when it has not been run after a change of the table.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCodes } from '../src/errors/error-codes.ts'

export const errorDocsPath = join(import.meta.dirname, '..', 'docs', 'errors.md')

const exitCodes: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done; for a command that serves: ended by a signal, after what was in flight'],
  [1, 'the operation failed'],
  [2, 'the command line, a manifest or a component cannot be used as it is'],
  [3, 'an identity, or an import that needs one, was refused'],
  [4, 'a peer or an address cannot be reached'],
  [5, 'a component failed while it ran'],
  [130, 'ended at once by a second Ctrl-C (143: by a second SIGTERM)'],
]

/** The whole of docs/errors.md. */
export function errorDocs(): string {
  const rows = Object.entries(errorCodes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, { meaning, exitCode }]) => `| <a id="${code}"></a>\`${code}\` | ${escapeCell(meaning)} | ${exitCode} |`,
    )
  return `<!-- Generated from src/errors/error-codes.ts by scripts/generate-error-docs.ts: do not edit. -->
# Errors

Every error that Herald reports on purpose has a stable code. The command prints it as

\`\`\`
ERR_CODE: file:line:column (key): what happened — what to do next
\`\`\`

and, with \`--output json\`, as one JSON object on standard error: \`{"error": {"code", "message", "hint", "where", "problems"}}\`. A manifest reports all
of its problems at once. The stack and the causes are shown with \`--verbose\`.

## Exit codes of \`herald\`

| exit code | meaning |
|---|---|
${exitCodes.map(([code, meaning]) => `| ${code} | ${meaning} |`).join('\n')}

## Codes

| code | meaning | exit code |
|---|---|---|
${rows.join('\n')}
`
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

if (import.meta.main) await writeFile(errorDocsPath, errorDocs())
