// The commands on the pages of the documentation are ones that exist, with options that exist; those that need nothing are run.
import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Command } from 'commander'
import type { CliEnvironment } from '../../src/cli/environment.ts'
import { createProgram } from '../../src/cli/program.ts'
import { runProgram } from '../../src/cli/run-program.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { pages } from './document-blocks.ts'
import { commandsOf, type DocumentCommand } from './document-commands.ts'
import { reasonNotRun } from './not-run.ts'
import { latticeCommands } from './programs.ts'

const root = join(import.meta.dirname, '../..')
const commands = pages.flatMap((page) => commandsOf(page))
const ofHerald = commands.filter(({ program }) => program === 'herald')
const textOf = ({ words }: DocumentCommand): string => words.join(' ')

/** What a page abbreviates: run as it stands, each must end with this exit code and name this. */
const otherEndings: readonly { readonly text: string; readonly code: number; readonly says: RegExp }[] = [
  { text: 'trust aws workload.yaml', code: 2, says: /--account|--trust-domain/ },
  { text: 'inspect component.wasm', code: 2, says: /wasi:http|exports/ },
  { text: 'inspect build/api.wasm', code: 2, says: /wasi:http|exports/ },
]

test('there are commands on the pages', () => {
  assert.ok(ofHerald.length >= 30, `${ofHerald.length}`)
  for (const page of ['README.md', 'docs/quick-start.md', 'docs/operations/README.md', 'docs/federation/aws.md'])
    assert.ok(
      ofHerald.some(({ where }) => where.startsWith(`${page}:`)),
      page,
    )
})

for (const command of ofHerald) {
  test(`${command.where}: herald ${textOf(command)}`, async () => {
    assert.equal(await parseError(command.words), undefined)
  })
}

test('an unknown command, an unknown option, a value that is none and a missing argument are found', async () => {
  for (const wrong of ['hots --nats x', 'host --nast x', 'dev --http nowhere:x', 'scale api', 'trust awss', 'inspect'])
    assert.ok(await parseError(wrong.split(' ')), wrong)
  const page = '```sh\nnpm run -s herald -- devv x  # a comment\necho x | herald inspcet y > z\n```\n'
  assert.deepEqual(
    commandsOf('x.md', page).map(({ where, program, words }) => [where, program, ...words]),
    [
      ['x.md:2', 'herald', 'devv', 'x'],
      ['x.md:3', 'echo', 'x'],
      ['x.md:3', 'herald', 'inspcet', 'y'],
    ],
  )
})

test('what needs no server is run, and does what the page says', async (t) => {
  using directory = temporaryDirectory()
  const cwd = directory.path
  await copyFile(join(root, 'components/api-gateway/workload.yaml'), join(cwd, 'workload.yaml'))
  await mkdir(join(cwd, 'build'))
  // The smallest component there is: it imports and exports nothing, so inspect answers 2 with the reason.
  const component = Buffer.from('0061736d0d000100', 'hex')
  for (const name of ['component.wasm', 'build/api.wasm', 'build/api-gateway.wasm'])
    await writeFile(join(cwd, name), component)
  let ran = 0
  for (const command of ofHerald) {
    const text = textOf(command)
    // Those that are listed are only parsed, above.
    if (reasonNotRun(command) !== undefined || latticeCommands.test(text)) continue
    const { code, stdout, stderr } = await run(command.words, cwd)
    const { code: expected, says } = otherEndings.find((each) => each.text === text) ?? { code: 0, says: /\S/ }
    assert.equal(code, expected, `${command.where}: herald ${text}\n${stderr}`)
    assert.match(stdout + stderr, says, `${command.where}: herald ${text}`)
    ran += 1
  }
  t.diagnostic(`${ran} of ${ofHerald.length} run`)
  assert.ok(ran >= 15, `${ran}`)
})

test('every script that a page has npm run is in package.json', async () => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: object }
  for (const { where, words } of commands.filter(({ program }) => program === 'npm')) {
    const [verb = '', script = ''] = words.filter((word) => word !== '-s')
    if (verb === 'run') assert.ok(script in scripts, `${where}: npm run ${script}`)
    else assert.ok(['test', 'ci', 'install', 'link'].includes(verb), `${where}: npm ${verb}`)
  }
})

/** Parses as the command does, without doing anything. @returns what is wrong, or undefined. */
async function parseError(words: readonly string[]): Promise<string | undefined> {
  const { environment } = captured([], root)
  const program = createProgram(environment)
  for (const command of everyCommand(program)) command.action(() => {})
  try {
    await program.parseAsync([...words], { from: 'user' })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Those that do something; the others only have commands below them. */
function everyCommand(command: Command): Command[] {
  const acts = (command as unknown as { _actionHandler: unknown })._actionHandler != null
  return [...(acts ? [command] : []), ...command.commands.flatMap(everyCommand)]
}

async function run(words: readonly string[], cwd: string) {
  const { environment, printed } = captured(words, cwd)
  return { code: await runProgram(createProgram(environment), environment), ...printed }
}

function captured(args: readonly string[], cwd: string) {
  const printed = { stdout: '', stderr: '' }
  const environment: CliEnvironment = {
    args,
    cwd,
    stdout: { write: (text) => (printed.stdout += text) },
    stderr: { write: (text) => (printed.stderr += text) },
    noColor: true,
    inKubernetes: false,
    spireAdminSocket: undefined,
    runtimeDirectory: join(cwd, 'run'),
    natsUrls: undefined,
    context: undefined,
    contextsFile: join(cwd, 'contexts.yaml'),
    dataDirectory: join(cwd, 'data'),
  }
  return { environment, printed }
}
