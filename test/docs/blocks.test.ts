// Every block of every page is accounted for: its commands are run by a test or listed with the reason (not-run.ts), its YAML is read by what it is for.
import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { configSections } from '../../scripts/manifest-docs/config-keys.ts'
import { parseCalloutPolicy } from '../../src/callout/callout-policy.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'
import { openHelmChart } from '../charts/helm-chart.ts'
import { runHerald } from '../cli/herald-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { blocksOf, type DocumentBlock, pages, shells } from './document-blocks.ts'
import { commandsOf } from './document-commands.ts'
import { notRun, reasonNotRun } from './not-run.ts'
import { programsOfShellBlocks, shellWords } from './programs.ts'

const root = join(import.meta.dirname, '../..')
const blocks = pages.flatMap((page) => blocksOf(page))
const commands = pages.flatMap((page) => commandsOf(page))
const whereOf = ({ page, line }: DocumentBlock): string => `${page}:${line}`

test('every command of every page is run by a test, or listed with the reason why not', (t) => {
  const listed = new Map<string, string[]>()
  for (const command of commands) {
    const { where, program, words } = command
    const because = reasonNotRun(command)
    if (because !== undefined) {
      const calls = listed.get(because) ?? []
      calls.push(`${where} ${program} ${words.slice(0, 2).join(' ')}`)
      listed.set(because, calls)
      continue
    }
    assert.ok(isRun(program, where), `${where}: ${program} is run by no test, and not listed in test/docs/not-run.ts`)
  }
  for (const [because, calls] of listed) t.diagnostic(`not run, since it ${because}: ${calls.join('; ')}`)
  const count = [...listed.values()].flat().length
  t.diagnostic(`${commands.length - count} of ${commands.length} commands are run as they stand`)
})

/** Which file does it: commands.test.ts, quick-start.test.ts, demo.test.ts, shell-blocks.test.ts. */
function isRun(program: string, where: string): boolean {
  if (program === 'curl') return where.startsWith('docs/quick-start.md:')
  return program === 'herald' || program === 'npm' || [...programsOfShellBlocks, ...shellWords].includes(program)
}

test('whatever is listed as not run stands on a page', () => {
  for (const each of notRun) {
    const { program, pattern, because } = each
    const found = commands.some(
      (command) => command.program === program && (pattern?.test(command.words.join(' ')) ?? true),
    )
    assert.ok(found, `no page calls ${program} ${pattern ?? ''}: take it off the list (${because})`)
  }
})

test('a block says what is in it: sh or bash, yaml, hcl, wit or mermaid, and nothing for what is printed', () => {
  const languages = new Set(blocks.map(({ language }) => language))
  const known = ['', ...shells, 'hcl', 'mermaid', 'wit', 'yaml']
  assert.deepEqual(
    [...languages].filter((language) => !known.includes(language)),
    [],
  )
  const programs = new Set(commands.map(({ program }) => program))
  for (const block of blocks.filter(({ language }) => language === '')) {
    const called = block.text
      .split('\n')
      .filter((line) => programs.has(line.split(' ')[0] ?? '') && /^\S+ [a-z-]/.test(line))
    assert.deepEqual(called, [], `${whereOf(block)} calls programs: mark it as sh`)
  }
})

test('the WIT on the pages is in the packages', () => {
  const packages = globSync('wit/**/*.wit', { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  for (const block of blocks.filter(({ language }) => language === 'wit')) {
    for (const line of block.text.trim().split('\n'))
      assert.ok(packages.includes(line.trim()), `${whereOf(block)}: ${line}`)
  }
})

test('what helm test is shown to print is what its job prints', () => {
  const job = readFileSync(join(root, 'charts/herald-platform/files/helm-test.mjs'), 'utf8')
  const [block, ...others] = blocks.filter(({ text }) => text.startsWith('✔ '))
  assert.ok(block !== undefined && others.length === 0)
  const steps = [...block.text.matchAll(/^✔ ([^:]+): /gm)].map(([, step = '']) => step)
  assert.equal(steps.length, block.text.trim().split('\n').length)
  for (const step of steps) assert.ok(job.includes(`'${step}'`), step)
})

/** What reads a YAML block, by what it holds. */
const readers: readonly {
  readonly what: string
  readonly is: (text: string) => boolean
  readonly read: (block: DocumentBlock) => Promise<void> | void
}[] = [
  {
    what: 'a manifest',
    is: (text) => text.startsWith('apiVersion: runtime.wasmcloud.dev/'),
    async read({ text }) {
      const { workloads, warnings } = parseManifest(text, { file: 'page', baseDirectory: '/', isFile: () => true })
      assert.deepEqual([workloads.length, warnings], [1, []])
      for (const entry of workloads[0]?.hostInterfaces ?? []) await readEntry(entry)
    },
  },
  {
    what: 'hostInterfaces',
    is: (text) => text.startsWith('hostInterfaces:'),
    async read({ text }) {
      const { hostInterfaces } = parse(text) as { hostInterfaces: HostInterface[] }
      assert.ok(hostInterfaces.length > 0)
      for (const entry of hostInterfaces) await readEntry(entry)
    },
  },
  {
    what: 'entries of hostInterfaces',
    is: (text) => text.startsWith('- namespace:'),
    async read({ text }) {
      const hostInterfaces = parse(text) as HostInterface[]
      const spec = { components: [{ name: 'a', image: 'ghcr.io/o/a:1' }], hostInterfaces }
      const document = { apiVersion: 'runtime.wasmcloud.dev/v1alpha1', kind: 'Workload', metadata: { name: 'a' }, spec }
      parseManifest(JSON.stringify(document), { file: 'page', baseDirectory: '/', isFile: () => true })
    },
  },
  {
    what: 'an entry of hostInterfaces',
    is: (text) => text.startsWith('namespace:'),
    read: ({ text }) => readEntry(parse(text) as HostInterface),
  },
  {
    what: 'a policy of herald nats-callout',
    is: (text) => text.startsWith('grants:'),
    read: ({ text }) => void parseCalloutPolicy(text, 'page'),
  },
  {
    what: 'values of herald-platform',
    is: (text) => text.startsWith('# values of herald-platform\n'),
    async read({ text }) {
      using chart = await openHelmChart('herald-platform')
      const result = await chart.lint(parse(text))
      assert.equal(result.exitCode, 0, result.output)
      assert.ok((await chart.template(parse(text))).length > 5)
    },
  },
  {
    what: 'the configuration of a collector',
    is: (text) => text.startsWith('# collector.yaml\n'),
    read({ text }) {
      const { receivers, exporters, service } = parse(text)
      const { endpoint } = receivers.otlp.protocols.http
      assert.equal(endpoint, '127.0.0.1:4318', 'where the commands of the page send to')
      assert.deepEqual(Object.keys(service.pipelines), ['traces', 'metrics', 'logs'])
      for (const pipeline of Object.values<Record<string, string[]>>(service.pipelines)) {
        assert.deepEqual(pipeline.receivers, Object.keys(receivers))
        assert.deepEqual(pipeline.exporters, Object.keys(exporters))
      }
    },
  },
  {
    what: 'settings of a host',
    is: (text) => text.startsWith('# /etc/herald/host.yaml\n'),
    async read({ text }) {
      using directory = temporaryDirectory()
      const file = join(directory.path, 'host.yaml')
      writeFileSync(file, text)
      // It gets as far as a manifest that is not there.
      const words = ['host', '--config', file, '--file', '/nowhere/workload.yaml']
      const { stderr } = await runHerald(words, { node: process.execPath })
      assert.match(stderr, /\/nowhere\/workload\.yaml/)
    },
  },
]

/** Read by nothing here, for the reason. */
const notRead = [
  {
    is: (text: string) => text.startsWith('# values of spire (spiffe'),
    because:
      'it is for the chart of spiffe/helm-charts-hardened, which test machines do not reach: test/charts/spire-chart renders it where HERALD_SPIRE_CHART names it',
  },
]

for (const block of blocks.filter(({ language }) => language === 'yaml')) {
  const reader = readers.find(({ is }) => is(block.text))
  const excused = notRead.find(({ is }) => is(block.text))
  test(`${whereOf(block)}: ${reader?.what ?? 'YAML'} is what it is for`, async (t) => {
    if (excused !== undefined) {
      assert.ok(parse(block.text))
      t.diagnostic(`${whereOf(block)} is only parsed: ${excused.because}`)
      return
    }
    assert.ok(reader !== undefined, 'nothing reads this block: say in test/docs/blocks.test.ts what does')
    await reader.read(block)
  })
}

/** As the capability does that serves it: the first of its sections that takes it. @throws what the last one refuses it with */
async function readEntry(entry: HostInterface): Promise<void> {
  const wit = `${entry.namespace}:${entry.package}`
  const sections = configSections.filter(({ title }) => title.split(',')[0] === wit)
  assert.ok(sections.length > 0, `no capability serves ${wit}`)
  const config = Object.fromEntries(Object.entries(entry.config ?? {}).map(([key, value]) => [key, String(value)]))
  const results = await Promise.allSettled(sections.map(async ({ parse: read }) => read(config)))
  if (results.some(({ status }) => status === 'fulfilled')) return
  throw (results.at(-1) as PromiseRejectedResult).reason
}
