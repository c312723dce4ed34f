// Runs a TypeScript program of this repository on a fresh machine: installs the dependencies with `npm ci` when they are not
// there or not what package-lock.json says, then starts the program on the Node 26 that came with them.
// Runs on any Node from 18 on, and so uses no dependency itself.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.herald-lock')
const node = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
const lock = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === lock && existsSync(node)
if (!installed) {
  console.error('installing dependencies (npm ci) …')
  const started = Date.now()
  const npm = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (npm.status !== 0) {
    console.error(
      `npm ci failed${npm.error ? `: ${npm.error.message}` : ` with exit code ${npm.status}`}. Is npm installed, and the registry reachable?`,
    )
    process.exit(1)
  }
  if (!existsSync(node)) {
    console.error(
      'npm ci did not install Node 26 (package "node"): allow its install script, see allowScripts in package.json',
    )
    process.exit(1)
  }
  writeFileSync(stamp, lock)
  console.error(`dependencies installed in ${((Date.now() - started) / 1000).toFixed(0)} s`)
}

const [program, ...args] = process.argv.slice(2)
if (program !== '--install-only') {
  if (program === undefined) {
    console.error('usage: node scripts/bootstrap.mjs PROGRAM.ts [ARG …] | --install-only')
    process.exit(2)
  }
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH ?? ''}` }
  const run = spawnSync(node, ['--disable-warning=ExperimentalWarning', join(root, program), ...args], {
    stdio: 'inherit',
    env,
  })
  if (run.error) console.error(run.error.message)
  process.exit(run.status ?? (run.signal === 'SIGINT' ? 130 : 1))
}
