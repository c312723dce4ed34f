import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { watComponent } from '../engine/guests/build-guest.ts'
import { httpCall } from '../support/http-call.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { runHerald, startHerald } from './herald-process.ts'

// One herald host with a good workload and three whose component file is broken.
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
const at = (name: string): string => join(directory.path, name)

const components = await buildComponents(['hello-c'])
const hello = readFileSync(components.get('hello-c') ?? '')
writeFileSync(at('good.wasm'), hello)
writeFileSync(at('half.wasm'), hello.subarray(0, hello.length / 2))
writeFileSync(at('empty.wasm'), '')
writeFileSync(
  at('unknown-import.wasm'),
  await watComponent(
    '(module (import "my:house/things" "go-on" (func)) (memory (export "memory") 1) (func (export "wasi:cli/run@0.2.0#run") (result i32) (call 0) (i32.const 0)))',
    'package test:guest; package my:house { interface things { go-on: func(); } } package wasi:cli@0.2.0 { interface run { run: func() -> result; } } world guest { import my:house/things; export wasi:cli/run@0.2.0; }',
    'guest',
  ),
)
const refused = ['half', 'empty', 'unknown-import'] as const
for (const name of ['good', ...refused, 'elsewhere']) {
  const image = name === 'elsewhere' ? 'good' : name
  writeFileSync(
    at(`${name}.yaml`),
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: {name: ${name}}
spec:
  components: [{name: ${name}, image: "file://${image}.wasm"}]
  hostInterfaces: [{namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: "${name}.example"}}]
${name === 'elsewhere' ? '  hostSelector: {zone: z2}\n' : ''}`,
  )
}
const hostArgs = (names: readonly string[], ...more: string[]): string[] => [
  ...['host', ...names.flatMap((name) => ['-f', `${name}.yaml`]), '--http', '0'],
  ...['--spire-admin-socket', at('no.sock'), ...more],
]
const codes = {
  half: 'ERR_COMPONENT_INVALID',
  empty: 'ERR_COMPONENT_INVALID',
  'unknown-import': 'ERR_COMPONENT_IMPORT_UNKNOWN',
  elsewhere: 'ERR_WORKLOAD_NOT_PLACED_HERE',
}

test('a file cut in half, an empty one, one with an unknown import and a workload for another host take nothing from their neighbour', async () => {
  await using herald = startHerald(
    hostArgs(['half', 'empty', 'good', 'unknown-import', 'elsewhere'], '--output', 'json'),
    {
      cwd: directory.path,
    },
  )
  const ready = (await herald.event('ready')) as {
    http: string
    components: { workload: string }[]
    failed: { workload: string; error: { code: string; message: string; hint?: string } }[]
  }
  assert.deepEqual(
    ready.components.map(({ workload }) => workload),
    ['default/good'],
  )
  assert.deepEqual(
    Object.fromEntries(ready.failed.map(({ workload, error }) => [workload.replace('default/', ''), error.code])),
    codes,
  )
  for (const { workload, error } of ready.failed) {
    assert.ok(error.message.length > 10, workload)
    assert.ok(herald.stderr.includes(`"workload":"${workload}","code":"${error.code}"`), `${workload} is in the log`)
  }
  for (let call = 0; call < 20; call++)
    assert.equal((await httpCall(ready.http, { host: 'good.example' })).text, 'hello\n')
  herald.interrupt()
  assert.equal((await herald.exited).exitCode, 0)
})

test('in words, what is served and what is not are told apart', async () => {
  await using herald = startHerald(hostArgs(['empty', 'good'], '--log-level', 'silent'), { cwd: directory.path })
  while (!herald.stdout.includes('Not served')) {
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, 20)),
      herald.exited.then(({ stderr }) => assert.fail(stderr)),
    ])
  }
  assert.match(
    herald.stdout,
    /^Serving default\/good\/good on http:.*\nNot served: default\/empty: ERR_COMPONENT_INVALID: .*empty.*\n$/,
  )
})

test('when none can be served it ends at once, with the reason of each', async () => {
  const { exitCode, stdout, stderr } = await runHerald(hostArgs([...refused]), { cwd: directory.path })
  assert.deepEqual({ exitCode, stdout }, { exitCode: 5, stdout: '' })
  for (const name of refused) assert.ok(stderr.includes(`"workload":"default/${name}","code":"${codes[name]}"`), name)
  assert.match(stderr, /\nERR_COMPONENT_INVALID: /)
})
