#!/usr/bin/env node
// Starts the `herald` command. Node 26 is required; it comes as a dependency, so an older Node that happens to be first on the
// path only has to start this file.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'src', 'cli', 'main.ts')
const main = existsSync(source) ? source : join(root, 'dist', 'cli', 'main.js')

const node = findNode26()
if (node === undefined) {
  console.error(
    `ERR_NODE_VERSION: Herald needs Node 26 or newer, this is ${process.versions.node}, and the package "node" is not installed — run: npm ci`,
  )
  process.exit(2)
}
const args = ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)]
// Where a process can become another one it does: then there is one only, and whatever is sent to it reaches it.
if (typeof process.execve === 'function') {
  process.emitWarning = () => {}
  try {
    process.execve(node, [node, ...args], process.env)
  } catch {
    // This platform cannot.
  }
}
// On Linux the child is told to end when this process is killed in a way that it cannot hand on.
const wrapper = '/usr/bin/setpriv'
const [program, ...programArgs] =
  process.platform === 'linux' && existsSync(wrapper)
    ? [wrapper, '--pdeathsig', 'TERM', '--', node, ...args]
    : [node, ...args]
const child = spawn(program, programArgs, { stdio: 'inherit' })
// The child decides when to end. What is sent to the whole group, as Ctrl-C in a terminal, it gets twice in one moment, and counts once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(`ERR_NODE_VERSION: cannot start ${node}: ${error.message}`)
  process.exit(2)
})
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))

/** This Node when it is new enough, else the one that npm installed. */
function findNode26() {
  if (Number(process.versions.node.split('.')[0]) >= 26) return process.execPath
  try {
    const packageDir = dirname(createRequire(import.meta.url).resolve('node/package.json'))
    const candidate = join(packageDir, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    return existsSync(candidate) ? candidate : undefined
  } catch {
    return undefined
  }
}
