import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildComponents } from '../../scripts/build-components.ts'
import { BuildFailure, ToolMissing } from '../../scripts/components/build-failure.ts'
import { assembleWit } from '../../scripts/components/wit-text.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

async function build(name: string, force = false) {
  const lines: string[] = []
  const paths = await buildComponents([name], { force, log: (line) => lines.push(line) })
  const bytes = await readFile(paths.get(name)!)
  return { lines, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** What to install, when a language's tool is not on this machine; in CI that is a failure. */
async function whatIsMissing(name: string): Promise<string | false> {
  try {
    await buildComponents([name])
    return false
  } catch (error) {
    if (!(error instanceof ToolMissing) || process.env.CI === 'true') throw error
    return error.message
  }
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

for (const name of ['hello-go', 'hello-rust']) {
  test(`${name} is the same, byte for byte, when built again, and holds no path of this machine`, {
    skip: await whatIsMissing(name),
  }, async () => {
    const first = await build(name)
    const again = await build(name, true)
    assert.match(again.lines.join(), /built in .* sha256/)
    assert.equal(again.sha256, first.sha256)
    const path = join(root, 'components', name, 'build', `${name}.wasm`)
    const bytes = await readFile(path, 'latin1')
    for (const local of [root, homedir(), tmpdir()]) assert.ok(!bytes.includes(`${local}/`), `${local} is in it`)
  })
}

test('a fresh checkout takes what this machine has built before', async () => {
  await build('hello-c')
  await rm(join(root, 'components', 'hello-c', 'build', 'hello-c.wasm.inputs'))
  assert.match((await build('hello-c')).lines.join(), /hello-c: kept from an earlier build/)
  assert.deepEqual((await build('hello-c')).lines, ['hello-c: up to date'])
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

for (const [name, hint] of [
  ['hello-rust', /install Rust with rustup, then: rustup target add wasm32-wasip2/],
  ['hello-go', /install it, and put it on PATH/],
  ['hello-python', /python3-pip/],
] as const) {
  test(`without its tool ${name} says what to install`, () => {
    const { status, stderr } = command([name], '/nowhere')
    assert.equal(status, 1)
    assert.match(stderr, hint)
  })
}

test('a language without its tool is named and left out of all, but never in CI', async () => {
  const lines: string[] = []
  const path = process.env.PATH
  process.env.PATH = '/nowhere'
  try {
    const options = { log: (line: string) => lines.push(line), skipWithoutTool: true }
    assert.deepEqual([...(await buildComponents(['hello-go'], options)).keys()], [])
  } finally {
    process.env.PATH = path
  }
  assert.match(lines.join(), /^not built: hello-go: Go components need Go/)
  const inCi = spawnSync(process.execPath, [join(root, 'scripts', 'build-components.ts')], {
    encoding: 'utf8',
    env: { PATH: '/nowhere', CI: 'true' },
  })
  assert.equal(inCi.status, 1)
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
