import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildComponents } from '../../scripts/build-components.ts'
import { BuildFailure } from '../../scripts/components/build-failure.ts'
import { assembleWit } from '../../scripts/components/wit-text.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

async function build(name: string, force = false) {
  const lines: string[] = []
  const paths = await buildComponents([name], { force, log: (line) => lines.push(line) })
  const bytes = await readFile(paths.get(name)!)
  return { lines, sha256: createHash('sha256').update(bytes).digest('hex') }
}

function command(args: string[], path = process.env.PATH) {
  const script = join(root, 'scripts', 'build-components.ts')
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env: { PATH: path } })
}

test('what has not changed is not built again', async () => {
  await build('hello-c')
  assert.deepEqual((await build('hello-c')).lines, ['hello-c: up to date'])
})

test('a component in C is the same, byte for byte, when built again', async () => {
  const first = await build('whoami-c')
  const again = await build('whoami-c', true)
  assert.match(again.lines.join(), /built in .* sha256/)
  assert.equal(again.sha256, first.sha256)
})

test('an unknown name is refused with those there are', async () => {
  await assert.rejects(
    buildComponents(['nothing']),
    (error) => error instanceof BuildFailure && /no component nothing; there are api-gateway, /.test(error.message),
  )
})

test('without clang it says what to install', () => {
  const { status, stderr } = command(['hello-c'], '/nowhere')
  assert.equal(status, 1)
  assert.match(stderr, /hello-c: .*clang.*apt-get install clang lld/)
})

test('a component in JavaScript needs no C compiler', async () => {
  await build('api-gateway')
  const { status, stderr } = command(['api-gateway'], '/nowhere')
  assert.equal(status, 0, stderr)
})

test('--list names the components, and an unknown option is a mistake in usage', () => {
  assert.match(command(['--list']).stdout, /^whoami-c +c +/m)
  const { status, stderr } = command(['--what'])
  assert.equal(status, 2)
  assert.match(stderr, /usage:/)
})

test('the WIT of a component holds the packages that its world names, and theirs', async () => {
  const wit = await assembleWit(root, 'hello-cli-c')
  assert.match(wit, /package wasi:cli@0\.2\.12 \{/)
  assert.match(wit, /package wasi:io@0\.2\.12 \{/)
  assert.doesNotMatch(wit, /package wasmcloud:identity/)
})
