// The whole command: `herald up`, workloads over the lattice, `herald call` of their functions.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { parseFunctionName } from '../../src/cli/function-name.ts'
import { directoriesIn, runHerald, startHerald } from '../cli/herald-process.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { eventually } from './calls-house.ts'

const stack = new AsyncDisposableStack()
after(() => stack.disposeAsync())
const directory = stack.use(temporaryDirectory()).path
const components = await buildComponents(['ledger-c', 'teller-c'])
const nats = stack.use(await startNats())
const options = {
  cwd: directory,
  env: {
    HERALD_NATS_URL: nats.url,
    ...directoriesIn(directory),
  },
  node: process.execPath,
}
const run = (...args: string[]) => runHerald(args, options)
const up = stack.use(
  startHerald(['up', '--nats', nats.url, '--http', '0', '--issuer-port', '0', '--output', 'json'], options),
)
await up.event('ready')
await eventually(() => assert.match(up.stderr, /control\.started/))

async function deploy(name: string, names: readonly string[], entries: string): Promise<void> {
  const file = join(directory, `${name}.yaml`)
  const listed = names.map((each) => `{name: ${each}, image: "file://${components.get(each)}"}`).join(', ')
  const http = names.includes('teller-c') ? '{namespace: wasi, package: http, interfaces: [incoming-handler]}' : ''
  writeFileSync(
    file,
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}}
spec: {template: {spec: {components: [${listed}], hostInterfaces: [${[http, entries].filter((each) => each !== '').join(', ')}]}}}
`,
  )
  const { exitCode, stderr } = await run('deploy', '-f', file)
  assert.equal(exitCode, 0, stderr)
}
const accounts = (config: string) => `{namespace: acme, package: ledger, interfaces: [accounts], config: {${config}}}`

test('herald call calls a function, with JSON that is checked against the types of the component', async () => {
  await deploy('ledger', ['ledger-c'], '')
  const call = (...args: string[]) => run('call', 'ledger', ...args)
  const alice = await call('acme:ledger/accounts.balance', '"alice"')
  assert.deepEqual([alice.exitCode, alice.stdout], [0, '10000\n'], alice.stderr)
  const quote = await call('acme:ledger/accounts@0.1.0.quote-payment', '"alice"', '"bob"', '500', 'null')
  assert.deepEqual(JSON.parse(quote.stdout), { payer: 'alice', payee: 'bob', cents: 500, fee: 5, memo: null })
  const carol = await call('acme:ledger/accounts.balance', '"carol"')
  assert.equal(carol.exitCode, 1)
  assert.match(carol.stderr, /ERR_CALL_RETURNED_ERR: .*\{"unknown-account":"carol"\}/)
  const wrong = await call('acme:ledger/accounts.balance', 'alice')
  assert.equal(wrong.exitCode, 2)
  assert.match(wrong.stderr, /^ERR_CALL_ARGUMENTS: account: not JSON, for balance\(account: string\)/)
})

test('two workloads of one host call each other by their identities, as herald up wires them', async () => {
  await deploy('vault', ['ledger-c'], accounts('callers: "spiffe://development.local/default/teller-c"'))
  await deploy('counter', ['teller-c'], accounts('callee: "spiffe://development.local/default/ledger-c"'))
  await eventually(async () => {
    const { exitCode, stdout, stderr } = await run('call', 'counter', '/balance?account=bob')
    assert.deepEqual([exitCode, stdout], [0, '{"cents":4200}\n'], stderr)
  })
  assert.doesNotMatch(up.stderr, /eyJ[\w-]+\.[\w-]+/)
})

test('a function is told from a path', () => {
  assert.deepEqual(parseFunctionName('acme:ledger/accounts.balance'), {
    interface: 'acme:ledger/accounts',
    function: 'balance',
  })
  assert.deepEqual(parseFunctionName('a:b/c@0.1.0-rc.1#get-all'), {
    interface: 'a:b/c@0.1.0-rc.1',
    function: 'get-all',
  })
  for (const path of ['/', '/a:b/c.d', 'index.html', 'http://a/b.c', 'a:b/c', 'a:b/c.'])
    assert.equal(parseFunctionName(path), undefined)
})
