import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { createWasi } from '../../src/wasi/create-wasi.ts'
import type { Descriptor } from '../../src/wasi/filesystem/descriptor.ts'
import type { WasiOptions } from '../../src/wasi/wasi.ts'
import { Guest, wasiOptions } from './guest.ts'

const nofollow = {}
const follow = { symlinkFollow: true }

/** A sandbox directory `in` beside a secret that must never be seen or changed. */
class Site implements Disposable {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'herald-wasi-')))
  readonly inside = join(this.root, 'in')
  readonly secret = join(this.root, 'secret')
  readonly #abort = new AbortController()

  constructor() {
    mkdirSync(this.inside)
    writeFileSync(this.secret, 'secret')
  }

  descriptor(options: { readOnly?: boolean } & Partial<WasiOptions> = {}): Descriptor {
    const preopens = [{ hostPath: this.inside, guestPath: '/data', readOnly: options.readOnly === true }]
    const wasi = createWasi(wasiOptions({ ...options, preopens })).instance({ signal: this.#abort.signal })
    const { getDirectories } = wasi.imports['wasi:filesystem/preopens'] as { getDirectories(): [Descriptor, string][] }
    const [[descriptor, path] = []] = getDirectories()
    strictEqual(path, '/data')
    return descriptor as Descriptor
  }

  [Symbol.dispose](): void {
    this.#abort.abort(new Error('the test is over'))
    strictEqual(readFileSync(this.secret, 'utf8'), 'secret', 'a guest changed what lies outside')
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** Each goes for what lies outside, in a different way; `in` is prepared with links of all kinds. */
const escapes = [
  '..',
  '../secret',
  './../secret',
  'sub/../../secret',
  'sub/../..',
  '/etc/passwd',
  '//etc/passwd',
  'up/secret',
  'up',
  'absolute',
  'absolute-dir/passwd',
  'chain',
  'sub/deep-up',
  'sub/up2/secret',
  'proc/self/root/etc/passwd',
  'nested/../../../secret',
]

function prepare(site: Site): void {
  mkdirSync(join(site.inside, 'sub'))
  mkdirSync(join(site.inside, 'nested'))
  symlinkSync('..', join(site.inside, 'up'))
  symlinkSync('/etc/passwd', join(site.inside, 'absolute'))
  symlinkSync('/etc', join(site.inside, 'absolute-dir'))
  symlinkSync('chain2', join(site.inside, 'chain'))
  symlinkSync('sub/../up/secret', join(site.inside, 'chain2'))
  symlinkSync('../../secret', join(site.inside, 'sub/deep-up'))
  symlinkSync('../..', join(site.inside, 'sub/up2'))
  symlinkSync('/proc', join(site.inside, 'proc'))
}

for (const path of escapes) {
  test(`no call reaches outside through ${path}`, () => {
    using site = new Site()
    prepare(site)
    const before = execFileSync('find', [site.root], { encoding: 'utf8' })
    const root = site.descriptor()
    const attempts: [string, () => unknown][] = [
      ['open', () => root.openAt(follow, path, {}, { read: true })],
      ['write', () => root.openAt(follow, path, { truncate: true }, { write: true })],
      ['create', () => root.openAt(follow, path, { create: true }, { read: true, write: true })],
      ['directory', () => root.openAt(follow, path, { directory: true }, { read: true, mutateDirectory: true })],
      ['stat', () => root.statAt(follow, path)],
      ['times', () => root.setTimesAt(follow, path, { tag: 'now' }, { tag: 'now' })],
      ['hash', () => root.metadataHashAt(follow, path)],
    ]
    // These act on a link itself and may do so within: go one further, so that they would act outside.
    const beyond = /^(?:up|absolute|chain)$|deep-up$/.test(path) ? `${path}/x` : path
    attempts.push(
      ['mkdir', () => root.createDirectoryAt(`${beyond}/made`)],
      ['unlink', () => root.unlinkFileAt(beyond)],
      ['rmdir', () => root.removeDirectoryAt(beyond)],
      ['rename from', () => root.renameAt(beyond, root, 'got')],
      ['rename to', () => root.renameAt('nested', root, `${beyond}/put`)],
      ['link from', () => root.linkAt(nofollow, beyond, root, 'got')],
      ['link to', () => root.linkAt(nofollow, 'nested', root, `${beyond}/put`)],
      ['symlink', () => root.symlinkAt('x', `${beyond}/put`)],
      ['readlink', () => root.readlinkAt(beyond)],
    )
    for (const [what, attempt] of attempts) {
      throws(attempt, (error) => {
        ok(['not-permitted', 'not-directory', 'no-entry', 'loop'].includes(String(error)), `${what}: ${String(error)}`)
        return true
      })
    }
    strictEqual(execFileSync('find', [site.root], { encoding: 'utf8' }), before)
  })
}

test('an opened directory is the root of what is reached through it, also when it is moved', () => {
  using site = new Site()
  mkdirSync(join(site.inside, 'a/b'), { recursive: true })
  writeFileSync(join(site.inside, 'top'), 'top')
  const root = site.descriptor()
  const b = root.openAt(nofollow, 'a/b', { directory: true }, { read: true, mutateDirectory: true })
  throws(
    () => b.statAt(follow, '../../top'),
    (error) => error === 'not-permitted',
  )
  renameSync(join(site.inside, 'a/b'), join(site.root, 'moved'))
  throws(
    () => b.statAt(follow, '../secret'),
    (error) => error === 'not-permitted',
  )
  b.createDirectoryAt('still-itself')
  ok(existsSync(join(site.root, 'moved/still-itself')))
})

test('links within are followed when asked, and not when not', () => {
  using site = new Site()
  mkdirSync(join(site.inside, 'dir'))
  writeFileSync(join(site.inside, 'dir/file'), 'content')
  symlinkSync('dir/../dir/file', join(site.inside, 'link'))
  symlinkSync('dir', join(site.inside, 'dirlink'))
  symlinkSync('loop', join(site.inside, 'loop'))
  const root = site.descriptor()
  deepStrictEqual(read(root.openAt(follow, 'link', {}, { read: true })), 'content')
  deepStrictEqual(read(root.openAt(nofollow, 'dirlink/file', {}, { read: true })), 'content')
  deepStrictEqual(read(root.openAt(follow, 'dirlink/../link', {}, { read: true })), 'content')
  throws(
    () => root.openAt(nofollow, 'link', {}, { read: true }),
    (error) => error === 'loop',
  )
  throws(
    () => root.openAt(follow, 'loop', {}, { read: true }),
    (error) => error === 'loop',
  )
  strictEqual((root.statAt(nofollow, 'link') as { type: string }).type, 'symbolic-link')
  strictEqual((root.statAt(follow, 'link') as { type: string }).type, 'regular-file')
  strictEqual(root.readlinkAt('link'), 'dir/../dir/file')

  function read(descriptor: Descriptor): string {
    return Buffer.from(descriptor.read(100n, 0n)[0]).toString()
  }
})

test('a read-only preopen can be read and in no way changed', () => {
  using site = new Site()
  mkdirSync(join(site.inside, 'dir'))
  writeFileSync(join(site.inside, 'file'), 'content')
  const root = site.descriptor({ readOnly: true })
  const before = execFileSync('ls', ['-lR', site.inside], { encoding: 'utf8' })
  const file = root.openAt(follow, 'file', {}, { read: true })
  strictEqual(Buffer.from(file.read(100n, 0n)[0]).toString(), 'content')
  const readOnly: (() => unknown)[] = [
    () => root.openAt(follow, 'file', {}, { write: true }),
    () => root.openAt(follow, 'file', { truncate: true }, { read: true }),
    () => root.openAt(follow, 'new', { create: true }, { read: true }),
    () => root.openAt(follow, 'dir', { directory: true }, { mutateDirectory: true }),
    () => root.createDirectoryAt('new'),
    () => root.unlinkFileAt('file'),
    () => root.removeDirectoryAt('dir'),
    () => root.renameAt('file', root, 'other'),
    () => root.linkAt(nofollow, 'file', root, 'other'),
    () => root.symlinkAt('file', 'other'),
    () => root.setTimesAt(follow, 'file', { tag: 'now' }, { tag: 'now' }),
  ]
  for (const attempt of readOnly) throws(attempt, (error) => error === 'read-only', attempt.toString())
  const denied: (() => unknown)[] = [
    () => file.write(Buffer.from('x'), 0n),
    () => file.setSize(0n),
    () => file.writeViaStream(0n),
    () => file.appendViaStream(),
    () => file.setTimes({ tag: 'now' }, { tag: 'now' }),
  ]
  for (const attempt of denied) throws(attempt, (error) => ['bad-descriptor', 'not-permitted'].includes(String(error)))
  const inner = root.openAt(follow, 'dir', { directory: true }, { read: true })
  throws(
    () => inner.openAt(follow, 'new', { create: true }, { write: true }),
    (error) => error === 'read-only',
  )
  strictEqual(execFileSync('ls', ['-lR', site.inside], { encoding: 'utf8' }), before)
})

test('a hard link cannot carry a file from a read-only preopen to a writable one', () => {
  using site = new Site()
  writeFileSync(join(site.inside, 'file'), 'content')
  const readable = site.descriptor({ readOnly: true })
  const writable = site.descriptor()
  throws(
    () => readable.linkAt(nofollow, 'file', writable, 'mine'),
    (error) => error === 'read-only',
  )
  throws(
    () => readable.renameAt('file', writable, 'mine'),
    (error) => error === 'read-only',
  )
})

test('pipes, sockets and devices are not opened, and nothing waits for them', () => {
  using site = new Site()
  execFileSync('mkfifo', [join(site.inside, 'pipe')])
  const root = site.descriptor()
  for (const flags of [{ read: true }, { write: true }, { read: true, write: true }]) {
    throws(
      () => root.openAt(follow, 'pipe', {}, flags),
      (error) => error === 'not-permitted',
    )
  }
  strictEqual((root.statAt(follow, 'pipe') as { type: string }).type, 'fifo')
})

test('a denied host path below a preopen stays out of reach', () => {
  using site = new Site()
  mkdirSync(join(site.inside, 'run/spire'), { recursive: true })
  writeFileSync(join(site.inside, 'run/spire/admin.sock'), 'x')
  symlinkSync('run/spire', join(site.inside, 'alias'))
  const root = site.descriptor({ deniedAddresses: [join(site.inside, 'run/spire'), '10.0.0.1'] })
  for (const path of ['run/spire/admin.sock', 'run/spire', 'alias/admin.sock', 'run/./spire/../spire/admin.sock']) {
    throws(
      () => root.openAt(follow, path, {}, { read: true }),
      (error) => error === 'access',
      path,
    )
    throws(
      () => root.statAt(follow, path),
      (error) => error === 'access',
      path,
    )
  }
  throws(
    () => root.renameAt('run/spire', root, 'mine'),
    (error) => error === 'access',
  )
})

for (const [path, error] of [
  ['', 'no-entry'],
  ['a\0b', 'invalid'],
  ['x'.repeat(5000), 'name-too-long'],
  ['x'.repeat(300), 'name-too-long'],
  ['missing', 'no-entry'],
  ['missing/file', 'no-entry'],
  ['file/below', 'not-directory'],
  ['file/', 'not-directory'],
  ['file/..', 'not-directory'],
] as const) {
  test(`opening ${JSON.stringify(path.slice(0, 20))}${path.length > 20 ? '…' : ''} is ${error}`, () => {
    using site = new Site()
    writeFileSync(join(site.inside, 'file'), '')
    throws(
      () => site.descriptor().openAt(follow, path, {}, { read: true }),
      (thrown) => thrown === error,
    )
  })
}

test('files and directories are made, listed, renamed, linked and removed', () => {
  using site = new Site()
  const root = site.descriptor()
  root.createDirectoryAt('dir/')
  const file = root.openAt(nofollow, 'dir/file', { create: true, exclusive: true }, { read: true, write: true })
  throws(
    () => root.openAt(nofollow, 'dir/file', { create: true, exclusive: true }, { write: true }),
    (error) => error === 'exist',
  )
  strictEqual(file.write(Buffer.from('hello'), 0n), 5n)
  strictEqual(file.write(Buffer.from('!'), 7n), 1n)
  deepStrictEqual([...file.read(10n, 4n)[0]], [111, 0, 0, 33])
  deepStrictEqual(file.read(10n, 8n), [new Uint8Array(0), true])
  file.setSize(5n)
  file.sync()
  file.syncData()
  strictEqual((file.stat() as { size: bigint }).size, 5n)
  root.linkAt(nofollow, 'dir/file', root, 'second')
  ok(root.openAt(nofollow, 'second', {}, { read: true }).isSameObject(file))
  deepStrictEqual(root.metadataHashAt(nofollow, 'second'), file.metadataHash())
  root.symlinkAt('dir/file', 'link')
  root.renameAt('second', root, 'dir/third')
  deepStrictEqual(readdirSync(join(site.inside, 'dir')).sort(), ['file', 'third'])
  throws(
    () => root.removeDirectoryAt('dir'),
    (error) => error === 'not-empty',
  )
  throws(
    () => root.unlinkFileAt('dir'),
    (error) => error === 'is-directory',
  )
  const entries: string[] = []
  const stream = root.readDirectory()
  for (let entry = stream.readDirectoryEntry(); entry !== undefined; entry = stream.readDirectoryEntry()) {
    entries.push(`${entry.name}:${entry.type}`)
  }
  deepStrictEqual(entries.sort(), ['dir:directory', 'link:symbolic-link'])
  for (const path of ['dir/file', 'dir/third', 'link']) root.unlinkFileAt(path)
  root.removeDirectoryAt('dir')
  deepStrictEqual(readdirSync(site.inside), [])
})

test('times are set, kept and read', () => {
  using site = new Site()
  const root = site.descriptor()
  const file = root.openAt(nofollow, 'file', { create: true }, { read: true, write: true })
  const at = { seconds: 1_000_000_000n, nanoseconds: 500_000_000 }
  file.setTimes({ tag: 'timestamp', val: at }, { tag: 'timestamp', val: at })
  const first = file.stat() as { dataAccessTimestamp: object; dataModificationTimestamp: object }
  deepStrictEqual([first.dataAccessTimestamp, first.dataModificationTimestamp], [at, at])
  root.setTimesAt(follow, 'file', { tag: 'no-change' }, { tag: 'timestamp', val: { ...at, seconds: 5n } })
  const second = file.stat() as { dataAccessTimestamp: object; dataModificationTimestamp: object }
  deepStrictEqual([second.dataAccessTimestamp, second.dataModificationTimestamp], [at, { ...at, seconds: 5n }])
})

test('an instance may have 1,024 files open, and closing them makes room', () => {
  using site = new Site()
  writeFileSync(join(site.inside, 'file'), '')
  const root = site.descriptor()
  const opened = Array.from({ length: 1_024 }, () => root.openAt(follow, 'file', {}, { read: true }))
  throws(
    () => root.openAt(follow, 'file', {}, { read: true }),
    (error) => error === 'quota',
  )
  opened[0]?.[Symbol.dispose]()
  root.openAt(follow, 'file', {}, { read: true })
})

test('the end of the instance closes its files and directories', () => {
  using site = new Site()
  writeFileSync(join(site.inside, 'file'), '')
  const open = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return realpathSync(`/proc/self/fd/${fd}`).startsWith(site.inside)
      } catch {
        return false
      }
    }).length
  const abort = new AbortController()
  const wasi = createWasi(wasiOptions({ preopens: [{ hostPath: site.inside, guestPath: '/', readOnly: false }] }))
  const before = open()
  const instance = wasi.instance({ signal: abort.signal })
  const { getDirectories } = instance.imports['wasi:filesystem/preopens'] as {
    getDirectories(): [Descriptor, string][]
  }
  const [[root] = []] = getDirectories()
  root?.openAt(follow, 'file', {}, { read: true })
  root?.openAt(follow, 'file', {}, { read: true }).readViaStream(0n)
  root?.readDirectory()
  strictEqual(open(), before + 3)
  abort.abort(new Error('gone'))
  strictEqual(open(), before)
  throws(() => root?.statAt(follow, 'file'), /gone/)
})

test('a preopen that is not there, or no directory, is an error with its path', () => {
  using site = new Site()
  for (const hostPath of [join(site.root, 'missing'), site.secret]) {
    throws(
      () => createWasi(wasiOptions({ preopens: [{ hostPath, guestPath: '/', readOnly: true }] })),
      (error) =>
        error instanceof HeraldError && error.code === 'ERR_PREOPEN_INVALID' && error.message.includes(hostPath),
    )
  }
})

test('a directory that is exchanged for a link while it is walked leads nowhere', { timeout: 60_000 }, async () => {
  using site = new Site()
  mkdirSync(join(site.inside, 'dir'))
  writeFileSync(join(site.inside, 'dir/secret'), 'inside')
  symlinkSync('..', join(site.inside, 'evil'))
  linkSync(join(site.inside, 'dir/secret'), join(site.inside, 'copy'))
  // Swaps `dir` and a link to the parent as fast as it can.
  const worker = new Worker(
    `const { renameSync } = require('node:fs'); const { workerData: dir, parentPort } = require('node:worker_threads')
     parentPort.postMessage('ready')
     const end = Date.now() + 1500
     while (Date.now() < end) { try { renameSync(dir + '/dir', dir + '/aside'); renameSync(dir + '/evil', dir + '/dir'); renameSync(dir + '/dir', dir + '/evil'); renameSync(dir + '/aside', dir + '/dir') } catch (error) { throw error } }
     parentPort.postMessage('done')`,
    { eval: true, workerData: site.inside },
  )
  const done = new Promise<void>((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', () => resolve())
  })
  await new Promise((resolve) => worker.once('message', resolve))
  const root = site.descriptor()
  let read = 0
  const end = Date.now() + 1200
  while (Date.now() < end) {
    try {
      const file = root.openAt(follow, 'dir/secret', {}, { read: true })
      strictEqual(Buffer.from(file.read(100n, 0n)[0]).toString(), 'inside')
      file[Symbol.dispose]()
      read++
    } catch (error) {
      ok(['not-permitted', 'no-entry', 'not-directory', 'loop'].includes(String(error)), String(error))
    }
  }
  ok(read > 0, 'the race never let a read through')
  await done
})

test('a guest reads, writes and appends through streams', async () => {
  using site = new Site()
  using guest = await Guest.open({ preopens: [{ hostPath: site.inside, guestPath: '/data', readOnly: false }] })
  const answer = await guest.call(`
    const [[root, name]] = wasi['wasi:filesystem/preopens'].getDirectories()
    const file = root.openAt({}, 'log', { create: true }, { read: true, write: true })
    const write = (stream, data) => { stream.blockingWriteAndFlush(bytes(data)); stream[Symbol.dispose]() }
    write(file.writeViaStream(0n), 'one '); write(file.appendViaStream(), 'two '); write(file.appendViaStream(), 'three')
    const input = file.readViaStream(4n); const first = text(input.blockingRead(3n)); input.skip(1n); const rest = text(input.read(100n))
    const flags = file.getFlags(), stat = file.stat()
    return { name, first, rest, end: caught(() => input.read(1n)), missing: caught(() => root.statAt({}, '../secret')), type: stat.type, size: stat.size, write: flags.write,
      code: (() => { const other = root.openAt({}, 'log', {}, { read: true }); return caught(() => other.writeViaStream(0n)) })() }`)
  deepStrictEqual(answer, {
    name: '/data',
    first: 'two',
    rest: 'three',
    end: { error: { tag: 'closed' } },
    missing: { error: 'not-permitted' },
    type: 'regular-file',
    size: 13,
    write: true,
    code: { error: 'bad-descriptor' },
  })
})
