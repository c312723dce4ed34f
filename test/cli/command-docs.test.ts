import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { commandDocs, commandDocsPath } from '../../scripts/generate-command-docs.ts'

test('docs/command.md is what the command tree says', async () => {
  const same = (await readFile(commandDocsPath, 'utf8')) === commandDocs()
  assert.ok(same, 'run: node_modules/.bin/node scripts/generate-command-docs.ts')
})

test('every command and option is in it, with what it is for', () => {
  const docs = commandDocs()
  for (const command of ['dev', 'host', 'host drain', 'up', 'deploy', 'get', 'scale', 'oci push', 'config set', 'new'])
    assert.match(docs, new RegExp(`^## herald ${command}$`, 'm'))
  for (const line of docs.split('\n').filter((text) => /^\| `-/.test(text)))
    assert.match(line, /^\| `[^`]+` \| \S.+ \|$/, line)
})
