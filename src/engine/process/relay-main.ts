import { parentPort } from 'node:worker_threads'
import type { FromRelayedProcess, ToRelay } from './process-protocol.ts'
import { RelayedProcess } from './relayed-process.ts'

/**
 * Entry of the relay thread: starts the processes of cells, and carries all that goes in and out of them. It reads what they send, so that the
 * control thread never does; what is wrong with it ends one process, and should it end this thread, then cells with a process of their own and no others.
 */
parentPort!.on('message', ({ port, grants }: ToRelay) => {
  try {
    new RelayedProcess(port, grants)
  } catch (error) {
    const reason = `its process could not be started: ${error instanceof Error ? error.message : String(error)}`
    port.postMessage({ kind: 'exited', reason } satisfies FromRelayedProcess)
  }
})
