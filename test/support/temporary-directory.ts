import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeExit } from './before-exit.ts'

export interface TemporaryDirectory extends Disposable {
  readonly path: string
}

/**
 * A new empty folder that goes with its owner, or with this process (unless that is ended by SIGKILL). Its path is short, because a Unix socket below it may have 107 bytes.
 */
export function temporaryDirectory(): TemporaryDirectory {
  const parent = tmpdir().length <= 40 ? tmpdir() : '/tmp'
  const path = mkdtempSync(join(parent, 'herald-'))
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  const forget = beforeExit(remove)
  return {
    path,
    [Symbol.dispose]() {
      forget()
      remove()
    },
  }
}
