import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { errorDocs, errorDocsPath } from '../../scripts/generate-error-docs.ts'
import { errorCodes } from '../../src/errors/error-codes.ts'

test('docs/errors.md is what the table of error codes says', async () => {
  const message = 'run: node_modules/.bin/node scripts/generate-error-docs.ts'
  assert.ok((await readFile(errorDocsPath, 'utf8')) === errorDocs(), message)
})

test('every error code has a meaning that is a sentence', () => {
  for (const [code, { meaning }] of Object.entries(errorCodes)) {
    assert.match(code, /^ERR(_[A-Z0-9]+)+$/)
    assert.match(meaning, /^[A-Z"'`h].*\.$/s, code)
  }
})
