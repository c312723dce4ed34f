import { closeSync, constants, openSync, readlinkSync } from 'node:fs'

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
const maxPathLength = 4096
const maxSymlinks = 40

/** Where a path ends: an entry of an open directory, or (`name` undefined) that directory itself. Valid only within `withResolved`. */
export type Resolved = {
  readonly directoryFd: number
  readonly name: string | undefined
  /** The path ended in a slash: what it names must be a directory. */
  readonly mustBeDirectory: boolean
}

/**
 * Resolves `path` below the directory `rootFd` and calls `use` with the result. No path, symbolic link or race leads out:
 * every component is opened on its own relative to the directory before it, never following a link (`/proc/self/fd/N/name` with
 * O_NOFOLLOW is Linux's openat without needing that call); links are read and walked in the same way; `..` goes back to the directory
 * that was come through, and above `rootFd` there is nothing. A directory that somebody moves meanwhile stays the same directory.
 * @param follow whether a link in the last component is followed
 * @throws FilesystemErrorCode for what the path breaks, node:fs errors otherwise
 */
export function withResolved<T>(rootFd: number, path: string, follow: boolean, use: (resolved: Resolved) => T): T {
  if (path.includes('\0')) throw 'invalid'
  if (path.length > maxPathLength) throw 'name-too-long'
  if (path === '') throw 'no-entry'
  const opened: number[] = []
  try {
    return use(walk(rootFd, path, follow, opened))
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

/** How node:fs reaches an entry of an open directory. */
export function entryPath(directoryFd: number, name: string | undefined): string {
  return name === undefined ? `/proc/self/fd/${directoryFd}` : `/proc/self/fd/${directoryFd}/${name}`
}

function walk(rootFd: number, path: string, follow: boolean, opened: number[]): Resolved {
  const directories = [rootFd]
  const rest = componentsOf(path)
  let mustBeDirectory = endsInDirectory(path)
  let symlinks = 0
  for (;;) {
    const name = rest.pop()
    const current = directories.at(-1) as number
    if (name === undefined) return { directoryFd: current, name: undefined, mustBeDirectory }
    if (name === '..') {
      if (directories.length === 1) throw 'not-permitted'
      directories.pop()
      continue
    }
    const last = rest.length === 0
    if (last && !follow && !mustBeDirectory) return { directoryFd: current, name, mustBeDirectory }
    const target = last ? readLink(current, name) : undefined
    if (last && target === undefined) return { directoryFd: current, name, mustBeDirectory }
    const step = target ?? enter(current, name)
    if (typeof step === 'number') {
      opened.push(step)
      directories.push(step)
      continue
    }
    if (++symlinks > maxSymlinks) throw 'loop'
    if (last && endsInDirectory(step)) mustBeDirectory = true
    rest.push(...componentsOf(step))
  }
}

/** The directory `name`, opened, or the target of the link that it is. */
function enter(directoryFd: number, name: string): number | string {
  try {
    return openSync(entryPath(directoryFd, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ELOOP' && code !== 'ENOTDIR') throw error
    const target = readLink(directoryFd, name)
    if (target === undefined) throw 'not-directory'
    return target
  }
}

/** The target of a link, undefined when there is none. */
function readLink(directoryFd: number, name: string): string | undefined {
  try {
    return readlinkSync(entryPath(directoryFd, name))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EINVAL' || code === 'ENOENT') return undefined
    throw error
  }
}

/** In reverse, so that the next one is at the end. @throws `not-permitted` for an absolute path */
function componentsOf(path: string): string[] {
  if (path.startsWith('/')) throw 'not-permitted'
  return path
    .split('/')
    .filter((component) => component !== '' && component !== '.')
    .reverse()
}

function endsInDirectory(path: string): boolean {
  return /(?:^|\/)\.{0,2}$/.test(path)
}
