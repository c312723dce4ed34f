// The blocks of the pages that call helm, kubectl, spire-server or scripts of this repository are run by sh as a reader would, on a real API server and a
// real SPIRE server. The programs of clouds and products that are not here are stand-ins, which look at the files they are given.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { programPath } from '../../scripts/servers.ts'
import { type HelmChart, openHelmChart, readObjectsOfFile } from '../charts/helm-chart.ts'
import { type Kubernetes, servesKind, startKubernetes } from '../support/kubernetes.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { blocksOf, type DocumentBlock, pages, shells } from './document-blocks.ts'
import { commandLines, commandsOfBlock } from './document-commands.ts'
import { reasonNotRun } from './not-run.ts'
import { programsOfShellBlocks, standInPrograms } from './programs.ts'

const root = join(import.meta.dirname, '../..')
const cleanup = new AsyncDisposableStack()
const directory = cleanup.use(temporaryDirectory()).path
let kubernetes: Kubernetes
let spire: Spire

before(async () => {
  for (const name of ['herald-platform', 'examples/umbrella']) {
    const chart: HelmChart = cleanup.use(await openHelmChart(name))
    cpSync(chart.directory, join(directory, 'charts', name), { recursive: true })
  }
  const started = await Promise.all([startKubernetes(), startSpire({ agent: false, oidc: false })])
  kubernetes = cleanup.use(started[0])
  spire = cleanup.use(started[1])
  await kubernetes.apply(readObjectsOfFile(join(root, 'test/charts/stand-ins/custom-resource-definitions.yaml')))
  for (const plural of ['clusterspiffeids', 'clusterstaticentries']) await servesKind(kubernetes, plural)
  await kubernetes.createNamespace('shop', 'restricted')

  mkdirSync(join(directory, 'bin'))
  const program = (name: string, script: string) =>
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  program('helm', `exec ${await programPath('helm')} "$@"`)
  program('kubectl', `exec ${await programPath('kubectl')} "$@"`)
  program('spire-server', `exec ${await programPath('spire-server')} "$@" -socketPath ${spire.serverSocketPath}`)
  program('herald', `exec ${process.execPath} ${join(root, 'bin/herald.js')} "$@"`)
  program('node', `cd ${root} && exec ${process.execPath} "$@"`)
  for (const name of standInPrograms) {
    program(
      name,
      `for word in ${name} "$@"; do printf '%s\\n' "$word"; done >> ${join(directory, 'calls')}; echo >> ${join(directory, 'calls')}`,
    )
  }
})
after(() => cleanup.disposeAsync())

const ran = new Set<string>()
const whereOf = ({ page, line }: DocumentBlock): string => `${page}:${line}`

/** Runs a block in the folder where charts/ is. Its commands that are listed as not run are left out. @throws with the output unless sh exits with 0 */
async function runBlock(block: DocumentBlock): Promise<string> {
  ran.add(whereOf(block))
  const skipped = new Set(
    commandsOfBlock(block).flatMap((command) =>
      reasonNotRun(command) === undefined || standInPrograms.includes(command.program) ? [] : [command.where],
    ),
  )
  const lines = block.text.split('\n')
  const joined = commandLines(lines)
  // A here-document's text is in `lines` alone; a command that goes on over several lines stands joined on its first.
  const script = lines.map((line, index) => {
    if (skipped.has(`${block.page}:${block.line + index}`)) return ''
    const goesOn = line.endsWith('\\') || (index > 0 && lines[index - 1]!.endsWith('\\'))
    return goesOn ? joined[index] : line
  })
  const result = await runProgram('sh', ['-euc', script.join('\n')], {
    cwd: directory,
    signal: AbortSignal.timeout(120_000),
    env: ofReader(),
  })
  assert.equal(result.exitCode, 0, `${block.page}:${block.line}\n${result.output}`)
  return result.stdout
}

/** The environment of these tests, with the programs above first, the API server as the cluster, and nothing of this machine's own Helm. */
function ofReader(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${join(directory, 'bin')}:${process.env.PATH}`,
    KUBECONFIG: kubernetes.kubeconfigPath,
    KUBECACHEDIR: join(directory, 'kubectl-cache'),
    HELM_CONFIG_HOME: join(directory, 'helm/config'),
    HELM_CACHE_HOME: join(directory, 'helm/cache'),
    HELM_DATA_HOME: join(directory, 'helm/data'),
  }
}

/** Blocks of all pages that call this program. */
function blocksThatCall(program: string): readonly DocumentBlock[] {
  return pages
    .flatMap((page) => blocksOf(page))
    .filter(
      (block) =>
        shells.includes(block.language) && commandsOfBlock(block).some((command) => command.program === program),
    )
}

test('docs/kubernetes/README.md: from an empty cluster, with the values that the page shows, to hosts, entries and policies', async () => {
  const page = 'docs/kubernetes/README.md'
  const text = readFileSync(join(root, page), 'utf8')
  const [, values = ''] = /```yaml\n(# values of herald-platform\n[\s\S]*?)```/.exec(text) ?? []
  writeFileSync(join(directory, 'values.yaml'), values)
  const [block, ...others] = blocksThatCall('helm').filter(
    (each) => each.page === page && each.text.includes('helm install'),
  )
  assert.ok(block !== undefined && others.length === 0)
  assert.match(await runBlock(block), /Herald 0\.1\.0 runs as Deployment herald-host in herald/)
  const objects = await kubernetes.objectsOf('herald')
  for (const name of ['deployment.apps/herald-host', 'networkpolicy.networking.k8s.io/herald-host'])
    assert.ok(objects.includes(name), `${name}: ${objects}`)
  const entry = await kubernetes.kubectl('get', 'clusterstaticentries', '--output=jsonpath={.items[*].spec.spiffeID}')
  assert.equal(entry, 'spiffe://example.org/default/api-gateway')
  const level = await kubernetes.kubectl(
    'get',
    'namespace/herald',
    '--output=jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}',
  )
  assert.equal(level, 'privileged')
  await helm('uninstall', 'herald', '--namespace', 'herald')
})

test('docs/kubernetes/README.md: the Secret with the keys of the callout service', async () => {
  const [block, ...others] = blocksThatCall('kubectl').filter(({ text }) => text.includes('create secret'))
  assert.ok(block !== undefined && others.length === 0)
  await runBlock(block)
  const names = '--output=go-template={{range $name, $_ := .data}}{{$name}} {{end}}'
  const listed = await kubernetes.kubectl('get', 'secret/herald-callout', '--namespace=herald', names)
  assert.equal(listed.trim(), 'issuer.nk user.nk xkey.nk')
})

for (const block of blocksThatCall('helm').filter(
  ({ page, text }) => page.startsWith('charts/') && text.includes('helm install'),
)) {
  test(`${block.page}:${block.line}: the release is installed`, async () => {
    writeFileSync(join(directory, 'my-values.yaml'), 'host: { replicas: 3 }\n')
    await runBlock(block)
    const [, release = ''] = /helm install (\S+)/.exec(block.text) ?? []
    const deployments = await kubernetes.kubectl('get', 'deployments', '--namespace=herald', '--output=name')
    assert.match(deployments, new RegExp(`deployment.apps/${release}`))
    await helm('uninstall', release, '--namespace', 'herald')
  })
}

for (const block of blocksThatCall('kubectl').filter(({ page }) => page !== 'docs/kubernetes/README.md')) {
  test(`${block.page}:${block.line}: what is applied is there`, async () => {
    const names = (await runBlock(block)).match(/^\S+ (?=created$)/gm) ?? []
    assert.ok(names.length > 0)
    for (const name of names) await kubernetes.kubectl('get', name.trim(), '--namespace=shop')
    await kubernetes.kubectl('delete', ...names.map((name) => name.trim()), '--namespace=shop')
  })
}

for (const block of blocksThatCall('spire-server')) {
  test(`${block.page}:${block.line}: the entry is made`, async () => {
    const earlier = await spire.listEntries()
    await runBlock(block)
    const made = (await spire.listEntries()).filter(({ id }) => !earlier.some((each) => each.id === id))
    assert.equal(made.length, 1)
    for (const { id, parentId, spiffeId, selectors } of made) {
      const command = commandsOfBlock(block).find(({ program }) => program === 'spire-server')?.words ?? []
      const after = (option: string) => command.flatMap((word, index) => (command[index - 1] === option ? [word] : []))
      assert.deepEqual(
        [[parentId], [spiffeId], [...selectors].sort()],
        [after('-parentID'), after('-spiffeID'), after('-selector').sort()],
      )
      await spire.deleteEntry(id)
    }
  })
}

for (const block of blocksThatCall('node')) {
  test(`${block.page}:${block.line}: the scripts of this repository do what the page says`, async () => {
    assert.match(await runBlock(block), /\S/)
  })
}

for (const program of standInPrograms) {
  for (const block of blocksThatCall(program)) {
    test(`${block.page}:${block.line}: the files that ${program} is given are there, and well-formed`, async (t) => {
      writeFileSync(join(directory, 'calls'), '')
      await runBlock(block)
      const calls = readFileSync(join(directory, 'calls'), 'utf8').trim().split('\n\n')
      assert.equal(calls.length, commandsOfBlock(block).filter((command) => command.program === program).length)
      const files = calls.flatMap((call) =>
        [...call.matchAll(/^(?:file:\/\/|@)?(\S+\.(?:json|hcl))$/gm)].map(([, name = '']) => name),
      )
      for (const name of files.filter((each) => each.endsWith('.json')))
        JSON.parse(readFileSync(join(directory, name), 'utf8'))
      for (const name of files) assert.ok(readFileSync(join(directory, name), 'utf8').length > 10)
      t.diagnostic(`${calls.length} calls of a stand-in for ${program}, ${files.length} files`)
    })
  }
}

test('docs/kubernetes/spire.md: the server takes the configuration of the node attestor that the page shows', async () => {
  const [block, ...others] = pages.flatMap((page) => blocksOf(page)).filter(({ language }) => language === 'hcl')
  assert.ok(block !== undefined && others.length === 0)
  const path = join(directory, 'server.conf')
  const plugins =
    'DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "/nowhere/x" } } KeyManager "memory" { plugin_data {} }'
  const config = (attestor: string) =>
    `server { bind_address = "127.0.0.1" bind_port = "8081" trust_domain = "example.org" data_dir = "${directory}" }\nplugins { ${plugins}\n${attestor} }\n`
  const validate = async (attestor: string) => {
    writeFileSync(path, config(attestor))
    return await runProgram(await programPath('spire-server'), ['validate', '-config', path])
  }
  const valid = await validate(block.text)
  assert.equal(valid.exitCode, 0, valid.output)
  assert.notEqual(
    (await validate(block.text.replace('service_account_allow_list', 'no_such_key'))).exitCode,
    0,
    'validate looks at nothing',
  )
})

async function helm(...args: readonly string[]): Promise<void> {
  const result = await runProgram(await programPath('helm'), args, {
    env: ofReader(),
  })
  assert.equal(result.exitCode, 0, result.output)
}

test('every block with a program of this file was run, but those of which nothing is left to run', () => {
  for (const program of [...programsOfShellBlocks, ...standInPrograms]) {
    const blocks = blocksThatCall(program)
    assert.ok(blocks.length > 0, `no page calls ${program}`)
    const left = blocks.filter(
      (block) =>
        !ran.has(whereOf(block)) &&
        commandsOfBlock(block).some((command) => command.program === program && reasonNotRun(command) === undefined),
    )
    assert.deepEqual(left.map(whereOf), [])
  }
})
