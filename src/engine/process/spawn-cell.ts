import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { workerUrl } from '../worker-url.ts'
import { permissionFlags, sourceDirectory } from './process-grants.ts'
import { framesDescriptor, type ProcessGrants } from './process-protocol.ts'

/** When memory runs out the kernel takes the guest's process before any of the host (`proc(5)`: 1000 is the most). */
const oomScore = '1000'
const closeOnExec = 0o2_000_000

/**
 * Starts a process of Node's own that waits for its cell: no environment, no standard input, no descriptor of the host's, a session of its own so
 * that a terminal's signals do not reach it, and no permission but what it was granted.
 */
export function spawnCell(grants: ProcessGrants): { child: ChildProcess; frames: Duplex } {
  const main = fileURLToPath(workerUrl('child-main', import.meta.url))
  const nowhere = openSync('/dev/null', 'r')
  try {
    const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', 'pipe']
    for (const leaked of inheritable()) {
      while (stdio.length < leaked) stdio.push('ignore')
      stdio[leaked] = nowhere
    }
    const flags = [...permissionFlags(grants), '--no-addons', '--no-warnings']
    // Node lets a thread read all of the working directory, whatever was granted.
    const child = spawn(process.execPath, [...flags, main], { env: {}, cwd: sourceDirectory, stdio, detached: true })
    // Told again by whoever listens for it.
    child.on('error', () => {})
    if (child.pid !== undefined) preferToKill(child.pid)
    return { child, frames: child.stdio[framesDescriptor] as Duplex }
  } finally {
    closeSync(nowhere)
  }
}

/** Descriptors that whoever started this host left open for all that it starts; Node's own close by themselves. */
function inheritable(): number[] {
  try {
    return readdirSync('/proc/self/fd')
      .map(Number)
      .filter((descriptor) => {
        if (descriptor <= framesDescriptor) return false
        try {
          const [, flags = '0'] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')) ?? []
          return (Number.parseInt(flags, 8) & closeOnExec) === 0
        } catch {
          return false
        }
      })
  } catch {
    return []
  }
}

function preferToKill(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, oomScore)
  } catch {
    // Not Linux, or gone already.
  }
}
