// `npm test`: installs what the tests need (Debian packages, the real servers, the components), runs every test, then scans all
// that the run wrote for tokens and secrets. Ends with the runner's own summary.
import { spawn } from 'node:child_process'
import { createWriteStream, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scanForTokens } from '../test/support/scan-for-tokens.ts'
import { buildComponents } from './build-components.ts'
import { serversOfTestRun } from './servers/catalog.ts'
import { buildServers, ensureDebianPackages, wasmCompilerPackages } from './servers.ts'

const root = join(import.meta.dirname, '..')
const say = (line: string) => console.error(line)

const named = process.argv.slice(2)
const files = (named.length > 0 ? named : ['test/**/*.test.ts'])
  .flatMap((pattern) => globSync(pattern, { cwd: root }))
  .sort()
if (files.length === 0) {
  say(`no test file matches ${named.join(' ')}`)
  process.exit(2)
}

await ensureDebianPackages(wasmCompilerPackages)
await buildServers(serversOfTestRun)
await buildComponents([], { log: say, skipWithoutTool: process.env.CI !== 'true' })

const logDir = mkdtempSync(join(tmpdir(), 'herald-test-logs-'))
process.exitCode = await runTests(files, logDir)
rmSync(logDir, { recursive: true, force: true })

/** Tests write the logs of what they start into `HERALD_TEST_LOG_DIR`; the runner's own output is kept there too. */
async function runTests(testFiles: string[], directory: string): Promise<number> {
  const runnerLog = join(directory, 'runner.log')
  const kept = createWriteStream(runnerLog)
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--test', '--test-concurrency=2', '--test-reporter=spec', ...testFiles],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HERALD_TEST_LOG_DIR: directory } },
  )
  let held = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      kept.write(chunk)
      held += chunk.toString()
      const summary = held.search(/^ℹ tests \d+$/m)
      const cut = summary === -1 ? held.lastIndexOf('\n') + 1 : summary
      process.stdout.write(held.slice(0, cut))
      held = held.slice(cut)
    })
  }
  const exitCode = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 1)))
  await new Promise((resolve) => kept.end(resolve))

  let leaks = 0
  const logs = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const log of logs) {
    for (const found of scanForTokens(readFileSync(join(log.parentPath, log.name), 'utf8'))) {
      leaks += 1
      process.stdout.write(`✖ ${log.name}:${found.line} holds what looks like ${found.kind}\n`)
    }
  }
  process.stdout.write(leaks === 0 ? `✔ no token or secret in any of the ${logs.length} logs of this run\n` : '')
  process.stdout.write(held)
  return exitCode !== 0 ? exitCode : leaks > 0 ? 1 : 0
}
