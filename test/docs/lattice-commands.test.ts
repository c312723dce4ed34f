// Part 3 of docs/quick-start.md and the drain of docs/operations, by the pages' own commands: `herald up`, and the others against it.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../../scripts/build-components.ts'
import { programPath } from '../../scripts/servers.ts'
import { directoriesIn, type HeraldOptions, runHerald, startHerald } from '../cli/herald-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { commandsOf } from './document-commands.ts'

const root = join(import.meta.dirname, '../..')
const directory = temporaryDirectory()
after(() => directory[Symbol.dispose]())
const at = (...names: string[]): string => join(directory.path, ...names)
const options: HeraldOptions = {
  cwd: directory.path,
  env: {
    ...directoriesIn(directory.path),
  },
  node: process.execPath,
}
const calls = (page: string, first: RegExp) =>
  commandsOf(page).flatMap(({ program, words }) => (program === 'herald' && first.test(words[0] ?? '') ? [words] : []))

test('deploy, get, scale, logs and delete do on a lattice of herald up what the quick start says; a host is drained as the guide says', async () => {
  const [components, natsServer] = [await buildComponents(['hello-c']), await programPath('nats-server')]
  copyFileSync(join(root, 'components/api-gateway/workload.yaml'), at('workload.yaml'))
  mkdirSync(at('build'))
  // The smallest HTTP component stands for the example's, which takes seconds to compile.
  copyFileSync(components.get('hello-c') ?? assert.fail('hello-c'), at('build/api-gateway.wasm'))

  const [start, ...others] = calls('docs/quick-start.md', /^up$/)
  assert.ok(start !== undefined && others.length === 0)
  const freePorts = ['--nats-server', natsServer, '--nats-port', '0', '--http', '0', '--output', 'json']
  await using up = startHerald([...start, ...freePorts], options)
  const ready = (await up.event('ready')) as { nats: string[] }

  const run = async (words: readonly string[]) => {
    const result = await runHerald(words, options)
    assert.equal(result.exitCode, 0, `herald ${words.join(' ')}: ${result.stderr}`)
    return result.stdout
  }
  const [deploy, get, scale, logs, remove, ...more] = calls('docs/quick-start.md', /^(deploy|get|scale|logs|delete)$/)
  assert.ok(deploy && get && scale && logs && remove && more.length === 0)
  await run(deploy)
  assert.match(await run(get), /api-gateway/)
  await run(scale)
  assert.equal((await run(get)).match(/api-gateway +running/g)?.length, 2)
  await using follower = startHerald(logs, options)
  await run(['call', 'api-gateway'])
  follower.interrupt()
  await Promise.race([
    follower.exited,
    sleep(30_000).then(() => assert.fail(`herald logs goes on: ${follower.stderr}`)),
  ])
  await run(remove)
  assert.doesNotMatch(await run(get), /api-gateway/)

  // The host of `herald up` is not drained but ended with it; so another one joins.
  const [nats = '', token] = [ready.nats[0], at('herald/up/nats.token')]
  const joins = ['host', '--nats', nats, '--nats-token-file', token, '--friendly-name', 'second', '--http', '0']
  await using second = startHerald([...joins, '--spire-admin-socket', at('no.sock'), '--output', 'json'], options)
  await second.event('ready')
  const [hosts, drain] = calls('docs/operations/README.md', /^(get|host)$/)
  assert.ok(hosts && drain)
  for (const untilMs = Date.now() + 60_000; !(await run(hosts)).includes('second'); await sleep(200)) {
    assert.ok(Date.now() < untilMs, second.stderr)
  }
  await run(drain.map((word) => (word === 'HOST' ? 'second' : word)))
  assert.equal((await second.exited).exitCode, 0)
  assert.doesNotMatch(await run(hosts), /second/)
  // With it goes its NATS.
  up.interrupt()
  assert.equal((await up.exited).exitCode, 0)
})
