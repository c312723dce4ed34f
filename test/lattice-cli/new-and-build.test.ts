import assert from 'node:assert/strict'
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { cacheDirectoryFor } from '../../scripts/servers/build-server.ts'
import { runHerald, startHerald } from '../cli/herald-process.ts'
import { httpCall } from '../support/http-call.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// What a person does with a new idea: herald new, build, dev.
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
// componentize-py as the build of hello-python has installed it.
await buildComponents(['hello-python'])
const python = join(cacheDirectoryFor(process.env), 'python')
const tools = join(python, readdirSync(python).find((name) => existsSync(join(python, name, 'componentize_py'))) ?? '')
const env = {
  XDG_RUNTIME_DIR: directory.path,
  PATH: `${join(tools, 'bin')}:${process.env.PATH}`,
  PYTHONPATH: tools,
}
const options = { cwd: directory.path, env, node: process.execPath }
const run = (...args: string[]) => runHerald(args, options)
const at = (...names: string[]): string => join(directory.path, ...names)

for (const { language, name, hello } of [
  { language: 'c', name: 'order-api', hello: 'hello from order-api\n' },
  { language: 'js', name: 'shop-api', hello: 'hello from JavaScript\n' },
  { language: 'go', name: 'stock-api', hello: 'hello from Go\n' },
  { language: 'python', name: 'mail-api', hello: 'hello from Python\n' },
]) {
  test(`herald new ${language}: what it makes is built and says hello and its own SPIFFE ID`, async () => {
    const made = await run('new', language, name)
    assert.equal(made.exitCode, 0, made.stderr)
    assert.match(made.stdout, new RegExp(`Next: cd ${name}`))
    const built = await run('build', name, '--output', 'json')
    assert.equal(built.exitCode, 0, built.stderr)
    const { file, sizeBytes, tookMs } = JSON.parse(built.stdout)
    assert.equal(file, at(name, 'build', `${name}.wasm`))
    assert.equal(readFileSync(file).length, sizeBytes)
    console.log(`herald build of ${language}: ${tookMs} ms`)
    await using dev = startHerald(['dev', name, '--http', '0', '--output', 'json'], options)
    const { http } = (await dev.event('ready')) as { http: string }
    assert.equal((await httpCall(http)).text, hello)
    const { status, text } = await httpCall(`${http}/whoami`)
    assert.deepEqual([status, text.trim()], [200, `spiffe://development.local/default/${name}`])
    dev.interrupt()
    assert.equal((await dev.exited).exitCode, 0)
  })
}

test('herald dev serves what herald build builds anew, and a mistake is reported with its line while the old one serves', async () => {
  assert.equal((await run('new', 'c', 'live')).exitCode, 0)
  assert.equal((await run('build', 'live')).exitCode, 0)
  await using dev = startHerald(['dev', 'live', '--http', '0', '--output', 'json'], options)
  const { http } = (await dev.event('ready')) as { http: string }
  const source = at('live', 'src', 'main.c')
  const good = readFileSync(source, 'utf8')
  appendFileSync(source, '\nint broken = ;\n')
  const broken = await run('build', 'live')
  assert.equal(broken.exitCode, 2)
  assert.match(broken.stderr, /ERR_BUILD_FAILED: clang failed:\n[\s\S]*main\.c:\d+:\d+: error: expected expression/)
  assert.equal((await httpCall(http)).text, 'hello from live\n')
  writeFileSync(source, good.replace('hello from live', 'hello again'))
  assert.equal((await run('build', 'live')).exitCode, 0)
  await dev.event('reloaded')
  assert.equal((await httpCall(http)).text, 'hello again\n')
})

for (const { args, problem } of [
  { args: ['new', 'c', 'Order'], problem: /ERR_USAGE: "Order" cannot name a component — lower case words/ },
  { args: ['new', 'rust', 'x'], problem: /ERR_USAGE: .*Allowed choices are c, js, python, go/ },
  { args: ['build', '.'], problem: /ERR_BUILD_FAILED: .*there is none of package\.json \(JavaScript\), go\.mod/ },
]) {
  test(`herald ${args.join(' ')} says what to do`, async () => {
    const { exitCode, stderr } = await run(...args)
    assert.equal(exitCode, 2)
    assert.match(stderr, problem)
  })
}

test('a folder that is not empty is left as it is', async () => {
  writeFileSync(at('kept'), 'x')
  const { exitCode, stderr } = await run('new', 'c', 'thing', '--to', '.')
  assert.equal(exitCode, 2)
  assert.match(stderr, /is there, and not empty/)
})
