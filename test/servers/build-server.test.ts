import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { suite, test } from 'node:test'
import { type BuildOptions, buildServer } from '../../scripts/servers/build-server.ts'
import { serverBuilds, serverNames, serversOfTestRun } from '../../scripts/servers/catalog.ts'
import { ensureDebianPackages } from '../../scripts/servers/debian-packages.ts'
import { programPath } from '../../scripts/servers.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A build of the smallest server into a cache of its own, with its progress lines. Go's own build cache makes it a matter of seconds. */
function ownCache(more: BuildOptions = {}) {
  const folder = temporaryDirectory()
  const lines: string[] = []
  const options = { cacheDirectory: folder.path, log: (line: string) => void lines.push(line), ...more }
  const kept = () => (existsSync(join(folder.path, 'servers')) ? readdirSync(join(folder.path, 'servers')) : [])
  return { options, lines, kept, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

function copyOfWrappers() {
  const folder = temporaryDirectory()
  cpSync(join(import.meta.dirname, 'nats'), join(folder.path, 'nats'), { recursive: true })
  return folder
}

suite('buildServer', () => {
  test('builds once when two ask at the same time; both get the same programs, and the next finds them', async () => {
    using cache = ownCache()
    const [one, two] = await Promise.all([buildServer('nats', cache.options), buildServer('nats', cache.options)])
    assert.equal(one, two)
    assert.match(spawnSync(join(one, 'nats-server'), ['--version'], { encoding: 'utf8' }).stdout, /v2\.14\.5/)
    assert.equal(cache.lines.filter((line) => line.startsWith('building nats v2.14.5')).length, 1)
    assert.equal(cache.lines.filter((line) => /^built nats in \d+ s$/.test(line)).length, 1)
    assert.equal(cache.lines.filter((line) => line.includes('waiting for it')).length, 1)
    assert.equal(cache.kept().length, 1, 'nothing but the finished build is in the cache')

    const linesBefore = cache.lines.length
    assert.equal(await buildServer('nats', cache.options), one)
    assert.equal(cache.lines.length, linesBefore)
  })

  test('builds anew when a file of the wrapper changes', async () => {
    using wrappers = copyOfWrappers()
    using cache = ownCache({ wrappersDirectory: wrappers.path })
    const before = await buildServer('nats', cache.options)
    writeFileSync(join(wrappers.path, 'nats', 'note.txt'), 'changed')
    const after = await buildServer('nats', cache.options)
    assert.notEqual(after, before)
    assert.equal(cache.kept().length, 2)
  })

  test('removes what a killed builder left behind a day ago, and nothing that may be in use', async () => {
    using cache = ownCache()
    const [old, fresh] = ['.building-old', '.building-fresh'].map((name) =>
      join(cache.options.cacheDirectory, 'servers', name),
    )
    for (const folder of [old, fresh]) mkdirSync(folder ?? '', { recursive: true })
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60
    utimesSync(old ?? '', twoDaysAgo, twoDaysAgo)
    await buildServer('nats', cache.options)
    assert.equal(existsSync(old ?? ''), false)
    assert.equal(existsSync(fresh ?? ''), true)
  })

  test('a build that fails says what go said and where the pins are, and leaves nothing', async () => {
    using wrappers = copyOfWrappers()
    using cache = ownCache({ wrappersDirectory: wrappers.path })
    writeFileSync(join(wrappers.path, 'nats', 'go.sum'), '')
    await assert.rejects(
      buildServer('nats', cache.options),
      new RegExp(`building the server 'nats' failed .*${wrappers.path}/nats;[\\s\\S]*missing go\\.sum entry`),
    )
    assert.deepEqual(cache.kept(), [])
  })

  test('without go it names the server, what could not run, and what to install', async () => {
    using empty = temporaryDirectory()
    using cache = ownCache({ environment: { PATH: empty.path } })
    await assert.rejects(
      buildServer('spire', cache.options),
      /the server 'spire': 'go' could not be run \(ENOENT\)\. Install Go 1\.26\.6/,
    )
  })

  test('without a C compiler it names the server that needs one, why, and what to install', async () => {
    using cache = ownCache({ environment: { ...process.env, CC: 'no-such-compiler' } })
    await assert.rejects(
      buildServer('spire', cache.options),
      /the server 'spire': the C compiler 'no-such-compiler' could not be run \(ENOENT\), and the server's SQLite data store needs one\. Install one/,
    )
  })
})

for (const name of serversOfTestRun) {
  for (const program of Object.keys(serverBuilds[name].programs)) {
    test(`${program} of ${name} is built and runs`, async () => {
      const path = await programPath(program as Parameters<typeof programPath>[0])
      const run = spawnSync(path, ['--help'], { encoding: 'utf8', timeout: 20_000 })
      assert.equal(run.error, undefined)
      assert.match(run.stdout + run.stderr, /usage|available commands|options/i)
    })
  }
}

suite('node scripts/servers.ts', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, '../../scripts/servers.ts'), ...args], { encoding: 'utf8' })

  test('list prints every server with the version that its go.mod pins', () => {
    const { status, stdout } = run('list')
    assert.equal(status, 0)
    assert.match(stdout, /^spire +v1\.15\.3 +spire-server, spire-agent, oidc-discovery-provider$/m)
    assert.equal(stdout.trim().split('\n').length, serverNames.length)
  })

  test('path prints the path of a program and nothing else', () => {
    const { status, stdout } = run('path', 'nats-server')
    assert.equal(status, 0)
    assert.ok(existsSync(stdout.trimEnd()))
  })

  test('an unknown server or program is an error that names those there are', () => {
    for (const args of [
      ['build', 'spyre'],
      ['path', 'spyre'],
    ]) {
      const { status, stderr } = run(...args)
      assert.equal(status, 1)
      assert.match(stderr, /there is no (server|program) 'spyre'; there are: spire/)
    }
  })

  test('an unknown command is exit code 2 and the usage', () => {
    const { status, stderr } = run('bild')
    assert.equal(status, 2)
    assert.match(stderr, /^Usage: /)
  })
})

suite('ensureDebianPackages', {
  skip: existsSync('/usr/bin/dpkg-query') ? false : 'this is not a Debian system',
}, () => {
  test('does nothing and says nothing when all are installed', async () => {
    const lines: string[] = []
    await ensureDebianPackages(['dpkg', 'libc6'], { log: (line) => lines.push(line) })
    assert.deepEqual(lines, [])
  })

  test('names a package that cannot be installed, who needs it, and the command to run', async () => {
    await assert.rejects(
      ensureDebianPackages(['dpkg', 'herald-no-such-package'], { purpose: 'the C component', log: () => {} }),
      /^Error: the C component needs Debian packages.*apt-get install herald-no-such-package/s,
    )
  })

  test('says so where there is no dpkg-query', async () => {
    using empty = temporaryDirectory()
    const path = process.env.PATH
    process.env.PATH = [empty.path].join(delimiter)
    try {
      await assert.rejects(
        ensureDebianPackages(['clang']),
        /needs what Debian calls clang, and this is not a Debian system/,
      )
    } finally {
      process.env.PATH = path
    }
  })
})
