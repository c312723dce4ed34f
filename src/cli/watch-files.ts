import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

export interface FileWatch extends Disposable {
  /** Watches these instead, absolute paths. */
  follow(paths: readonly string[]): Promise<void>
}

/** Builds write in bursts: a change is told once nothing has moved for so long, ms. */
const quietMs = 60

/**
 * Tells when the content of a file has changed, not when it was only touched. The directories are watched, because most tools write a new file
 * and move it into place.
 */
export function watchFiles(onChange: () => void): FileWatch {
  let watchers: FSWatcher[] = []
  let paths: readonly string[] = []
  let seen = ''
  let timer: NodeJS.Timeout | undefined

  const check = async (): Promise<void> => {
    const now = await contentOf(paths)
    if (now === seen) return
    seen = now
    onChange()
  }
  const close = (): void => {
    for (const watcher of watchers) watcher.close()
    watchers = []
  }
  return {
    async follow(next) {
      close()
      paths = next
      for (const directory of new Set(next.map((path) => dirname(path)))) {
        const names = new Set(next.filter((path) => dirname(path) === directory).map((path) => basename(path)))
        const watcher = watch(directory, { persistent: false }, (_event, name) => {
          if (name !== null && !names.has(name)) return
          clearTimeout(timer)
          timer = setTimeout(() => void check(), quietMs)
        })
        // The directory is gone: nothing will change there any more.
        watcher.on('error', () => watcher.close())
        watchers.push(watcher)
      }
      seen = await contentOf(next)
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      close()
    },
  }
}

async function contentOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    // While a file is being replaced there may be none.
    const content = await readFile(path).catch(() => undefined)
    hash.update(`${path}\0${content === undefined ? 'absent' : content.length}\0`)
    if (content !== undefined) hash.update(content)
  }
  return hash.digest('hex')
}
