import { readdir, readFile } from 'node:fs/promises'

/** A process and what it started, with any of its threads, and those again. */
export async function processTree(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  const children = texts.flatMap((text) => text.split(' ').filter(Boolean)).map(Number)
  return [pid, ...(await Promise.all(children.map(processTree))).flat()]
}

/** Resident memory of these processes together; what has ended counts nothing. */
export async function rssBytes(pids: readonly number[]): Promise<number> {
  const all = pids.map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
  })
  return (await Promise.all(all)).reduce((sum, bytes) => sum + bytes, 0)
}

/** Ends at once what a process started, and what that started; the process itself is left to its owner. */
export async function killChildren(pid: number): Promise<void> {
  for (const child of (await processTree(pid)).slice(1)) {
    try {
      process.kill(child, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}
