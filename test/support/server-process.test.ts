import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { collectLogs, startLog } from './log.ts'
import { startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const node = process.execPath
const forever = 'setInterval(() => {}, 1000)'

test('a server that ends too early is an error with its exit code and its log', async () => {
  const start = startServerProcess({
    name: 'short',
    program: node,
    args: ['-e', 'console.error("cannot find my keys"); process.exit(3)'],
    isReady: async () => false,
  })
  await assert.rejects(start, /the server 'short' ended before it was ready \(exit code 3\)[\s\S]*cannot find my keys/)
})

test('a server that is never ready is killed, and the error says what the last check said', async () => {
  const start = startServerProcess({
    name: 'slow',
    program: node,
    args: ['-e', `console.log(process.pid); ${forever}`],
    readyTimeoutMs: 600,
    isReady: async () => {
      throw new Error('no answer yet')
    },
  })
  const error = await start.then(
    () => assert.fail('it became ready'),
    (reason: Error) => reason,
  )
  assert.match(error.message, /'slow' was not ready after 0\.6 s\. Last check: no answer yet\./)
  assert.equal(isAlive(Number(error.message.split('\n').at(-1))), false)
})

test('a program that does not exist is an error that names it', async () => {
  const start = startServerProcess({
    name: 'absent',
    program: '/no/such/program',
    args: [],
    isReady: async () => false,
  })
  await assert.rejects(start, /'absent'[\s\S]*\/no\/such\/program/)
})

test('stop lets a server end by itself and kill does not; the log is kept after its end', async () => {
  const script = `process.on('SIGTERM', () => { console.log('farewell'); process.exit(0) }); console.log('ready'); ${forever}`
  const options = { name: 'polite', program: node, args: ['-e', script] }
  for (const [way, farewell] of [
    ['stop', true],
    ['kill', false],
  ] as const) {
    const log = startLog('polite')
    await using server = await startServerProcess({ ...options, log, isReady: async () => log.text() === 'ready\n' })
    await server[way]()
    assert.equal(log.text(), farewell ? 'ready\nfarewell\n' : 'ready\n')
    assert.ok(server.exit())
  }
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a server dies with the process that started it, ended by ${signal}`, {
    skip: process.platform !== 'linux',
  }, async () => {
    const harness = JSON.stringify(join(import.meta.dirname, 'server-process.ts'))
    const folders = JSON.stringify(join(import.meta.dirname, 'temporary-directory.ts'))
    const script = `
      const { startServerProcess } = await import(${harness})
      const { temporaryDirectory } = await import(${folders})
      const folder = temporaryDirectory()
      const server = await startServerProcess({ name: 'orphan', program: process.execPath, args: ['-e', ${JSON.stringify(forever)}], isReady: async () => true })
      console.log(server.pid, folder.path)
      ${forever}`
    const owner = spawn(node, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [pid = '', folder = ''] = (await firstLine(owner.stdout)).split(' ')
    assert.ok(isAlive(Number(pid)))
    owner.kill(signal)
    for (let waited = 0; isAlive(Number(pid)) && waited < 5000; waited += 25) await sleep(25)
    assert.equal(isAlive(Number(pid)), false)
    if (signal === 'SIGTERM') assert.equal(existsSync(folder), false)
    else rmSync(folder, { recursive: true }) // a process that is killed cannot remove its folder
  })
}

test('a server that nobody disposes of does not keep its process from ending, and ends with it', async () => {
  const harness = JSON.stringify(join(import.meta.dirname, 'server-process.ts'))
  const script = `
    const { startServerProcess } = await import(${harness})
    const server = await startServerProcess({ name: 'left', program: process.execPath, args: ['-e', ${JSON.stringify(forever)}], isReady: async () => true })
    console.log(server.pid)`
  const owner = spawn(node, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(owner, 'exit', { signal: AbortSignal.timeout(20_000) })
  const pid = Number(await firstLine(owner.stdout))
  assert.deepEqual(await exited, [0, null])
  for (let waited = 0; isAlive(pid) && waited < 5000; waited += 25) await sleep(25)
  assert.equal(isAlive(pid), false)
})

test('the logs of all servers of this process are collected by name', async () => {
  await using _ = await startServerProcess({
    name: 'speaker',
    program: node,
    args: ['-e', `console.log('hello'); ${forever}`],
    isReady: async () => [...collectLogs()].some(([name, text]) => name.startsWith('speaker-') && text === 'hello\n'),
  })
})

test('a temporary folder goes with its owner', () => {
  let path: string
  {
    using folder = temporaryDirectory()
    path = folder.path
    assert.ok(existsSync(path))
  }
  assert.equal(existsSync(path), false)
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function firstLine(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    text += chunk.toString()
    const [line, rest] = text.split('\n')
    if (rest !== undefined) return line ?? ''
  }
  throw new Error(`the stream ended after: ${text}`)
}
