import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { CellCapability, CellChannel } from '../../../src/capabilities/capability.ts'

type Attempts = { readonly preopen?: string; readonly garbage?: 'pipe' | 'crash' }
type Permission = { has(scope: string, reference?: string): boolean }

/** What code that broke out of its guest would try from the guest's own thread; it tells the test how each attempt ended. */
export function openCapability(config: unknown, channel: CellChannel): CellCapability {
  const { preopen, garbage } = config as Attempts
  const { permission } = process as { permission?: Permission }
  const attempts: Record<string, () => unknown> = {
    read: () => readFileSync('/etc/passwd'),
    write: () => writeFileSync('/tmp/herald-intruder', ''),
    spawn: () => execFileSync('/bin/true'),
    worker: () => new Worker('', { eval: true }),
    addon: () => process.dlopen({ exports: {} }, '/nowhere.node'),
    environment: () => assertEmpty(Object.keys(process.env)),
    ...(preopen !== undefined && {
      preopen: () => {
        const directory = openSync(preopen, constants.O_RDONLY | constants.O_DIRECTORY)
        const file = `/proc/self/fd/${directory}/made`
        writeFileSync(file, 'by the cell')
        utimesSync(`/proc/self/fd/${openSync(file, constants.O_RDWR)}`, 1, 1)
        closeSync(directory)
      },
    }),
  }
  const outcomes: Record<string, string> = {}
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      attempt()
      outcomes[name] = 'done'
    } catch (error) {
      outcomes[name] = String((error as { code?: unknown }).code ?? error)
    }
  }
  for (const scope of ['fs.read', 'fs.write', 'child', 'worker', 'net', 'addon', 'wasi', 'inspector'])
    outcomes[`has ${scope}`] = String(permission?.has(scope))
  const tell = (net: string) => {
    const told = channel.request('told', { ...outcomes, net }, { signal: AbortSignal.timeout(10_000) })
    if (garbage === 'pipe') void told.then(() => writeSync(3, 'this is no frame'))
    if (garbage === 'crash') void told.then(() => process.kill(process.pid, 'SIGSEGV'))
  }
  try {
    const socket = connect({ host: '127.0.0.1', port: 9 })
    socket.on('connect', () => tell('done'))
    socket.on('error', (error: { code?: string }) => tell(String(error.code)))
  } catch (error) {
    tell(String((error as { code?: unknown }).code))
  }
  return { prepare: () => ({ 'test:cap/calls': {} }) }
}

function assertEmpty(keys: readonly string[]): void {
  if (keys.length > 0) throw new Error(`there is ${keys.join(' ')}`)
}
