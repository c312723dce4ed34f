// The first part of docs/quick-start.md, as a reader does it: its own commands, on a free port instead of 8000.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../../scripts/build-components.ts'
import { runHerald, startHerald } from '../cli/herald-process.ts'
import { freePort } from '../support/free-port.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { commandsOf } from './document-commands.ts'

const root = join(import.meta.dirname, '../..')
const page = 'docs/quick-start.md'
const text = await readFile(join(root, page), 'utf8')
/** What the page says that herald does until `## 2.`. */
const commands = commandsOf(page, text.slice(0, text.indexOf('\n## 2.'))).filter(({ program }) => program === 'herald')
const wordsOf = (start: string): readonly string[] =>
  commands.find(({ words }) => words.join(' ').startsWith(start))?.words ??
  assert.fail(`${page} has no herald ${start}`)
const curls = [...text.matchAll(/^curl (.+)$/gm)].map(([, words = '']) =>
  [...words.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''),
)

test('the component of the quick start has the identity and the refusals that the page shows', async () => {
  await buildComponents(['api-gateway'])
  const port = await freePort()
  using directory = temporaryDirectory()
  const env = { XDG_RUNTIME_DIR: directory.path }
  await using herald = startHerald([...wordsOf('dev components'), '--http', `127.0.0.1:${port}`], { env })
  while (!herald.stdout.includes('Ctrl-C')) {
    assert.equal(await Promise.race([herald.exited, sleep(50, 'runs')]), 'runs', herald.stderr)
  }
  const shown = /```\n(Serving [\s\S]*?)```/.exec(text)?.[1] ?? ''
  for (const line of shown.trim().split('\n')) {
    assert.ok(herald.stdout.includes(line.replace(':8000', `:${port}`).trim()), `${line}\n${herald.stdout}`)
  }

  assert.equal(curls.length, 2)
  const [token, refused] = await Promise.all(curls.map((words) => curl(words, port)))
  assert.equal(JSON.parse(token ?? '').subject, 'spiffe://development.local/default/api-gateway')
  assert.match(JSON.parse(refused ?? '').error.message, /^the audience "other\.example\.org" is not allowed/)
  assert.ok(text.includes('`the audience "other.example.org" is not allowed`'))

  const said = await runHerald(wordsOf('identity token'), { env })
  assert.equal(said.exitCode, 0, said.stderr)
  assert.match(said.stdout, /subject +spiffe:\/\/development\.local\/default\/api-gateway/)
  const explained = await runHerald(wordsOf('identity explain'), { env })
  assert.equal(explained.exitCode, 3, explained.stderr)
  assert.match(explained.stdout, /issuer-not-https/)

  herald.interrupt()
  assert.equal((await herald.exited).exitCode, 0)
})

/** What curl does with these words; a machine that runs the tests may have none. */
async function curl([option, method = '', url = '', ...rest]: readonly string[], port: number): Promise<string> {
  assert.equal(option, '-X')
  const [data, body, ...more] = rest
  assert.ok((data === undefined || data === '-d') && more.length === 0, 'a word of curl that this test does not know')
  const init = { method, signal: AbortSignal.timeout(30_000), ...(body !== undefined && { body }) }
  return (await fetch(url.replace(':8000', `:${port}`), init)).text()
}
