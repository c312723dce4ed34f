import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { directoriesIn, startHerald, systemNode } from '../cli/herald-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// What `kill -9` of the command leaves behind: nothing. The kernel tells the children, which only Linux does, by setpriv of util-linux.
const skip =
  process.platform !== 'linux' || !existsSync('/usr/bin/setpriv') ? 'needs Linux and setpriv of util-linux' : false

test('herald up is killed with -9: its nats-server ends, and the next one starts', { skip }, async () => {
  using directory = temporaryDirectory()
  const natsServer = join(await buildServer('nats'), 'nats-server')
  const options = {
    cwd: directory.path,
    node: process.execPath,
    env: {
      ...directoriesIn(directory.path),
    },
  }
  const up = () =>
    startHerald(['up', '--nats-server', natsServer, '--nats-port', '0', '--http', '0', '--output', 'json'], options)
  await using first = up()
  const { nats } = (await first.event('ready')) as { nats: string[] }
  const port = Number(new URL(nats[0]!).port)
  assert.ok(await answers(port))
  first.kill('SIGKILL')
  await first.exited
  await untilSilent(port)
  // The same store of JetStream, which two servers must not share.
  await using second = up()
  await second.event('ready')
  second.interrupt()
  assert.equal((await second.exited).exitCode, 0)
})

for (const [what, node] of [
  ['the Node of the machine', systemNode()],
  ['Node 26', process.execPath],
] as const) {
  test(`bin/herald.js, run by ${what}, is killed with -9: no host stays behind`, { skip }, async () => {
    const file = (await buildComponents(['hello-c'])).get('hello-c')!
    await using herald = startHerald(['dev', file, '--http', '0', '--output', 'json'], { node })
    const { http } = (await herald.event('ready')) as { http: string }
    const port = Number(new URL(http).port)
    assert.ok(await answers(port))
    herald.kill('SIGKILL')
    await untilSilent(port)
  })
}

test('a Node that can become another program does, so that there is one process only', { skip }, async (t) => {
  if (typeof (process as { execve?: unknown }).execve !== 'function') return t.skip('this Node cannot')
  const file = (await buildComponents(['hello-c'])).get('hello-c')!
  await using herald = startHerald(['dev', file, '--http', '0', '--output', 'json'], { node: process.execPath })
  await herald.event('ready')
  assert.match(readFileSync(`/proc/${herald.pid}/cmdline`, 'utf8'), /cli\/main\.[tj]s/)
  herald.interrupt()
  assert.equal((await herald.exited).exitCode, 0)
})

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function untilSilent(port: number): Promise<void> {
  const endMs = Date.now() + 20_000
  while (await answers(port)) {
    assert.ok(Date.now() < endMs, `somebody still listens on port ${port}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
