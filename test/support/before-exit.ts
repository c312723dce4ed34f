const actions = new Set<() => void>()

/**
 * Runs a synchronous `action` when this process exits, also on SIGINT, SIGTERM and SIGHUP, newest first; the answer takes it back.
 * The one piece of module state here: a process has one end.
 */
export function beforeExit(action: () => void): () => void {
  if (actions.size === 0) {
    process.once('exit', runAll)
    for (const name of signals) process.once(name, endBy)
  }
  actions.add(action)
  return () => {
    actions.delete(action)
    if (actions.size > 0) return
    process.off('exit', runAll)
    for (const name of signals) process.off(name, endBy)
  }
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function runAll(): void {
  for (const action of [...actions].reverse()) action()
  actions.clear()
}

function endBy(signal: NodeJS.Signals): void {
  runAll()
  for (const name of signals) process.off(name, endBy)
  process.kill(process.pid, signal)
}
