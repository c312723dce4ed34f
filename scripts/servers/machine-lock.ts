import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Runs `work` while no other process of this machine holds the lock `name`.
 *
 * The lock is a listening socket in Linux's abstract namespace, so it goes with its process, however that ends. On other
 * systems there is no lock: what it guards must be safe without it (work done twice, never a broken result).
 * `onWait` is called once if the lock is held by someone else.
 */
export async function withMachineLock<T>(
  name: string,
  work: () => Promise<T>,
  { onWait, signal }: { onWait?: () => void; signal?: AbortSignal } = {},
): Promise<T> {
  if (process.platform !== 'linux') return work()
  const address = `\0herald-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`
  let holder = await tryToListen(address)
  if (holder === undefined) onWait?.()
  while (holder === undefined) {
    await sleep(500, undefined, { signal })
    holder = await tryToListen(address)
  }
  try {
    return await work()
  } finally {
    await new Promise((resolve) => holder.close(resolve))
  }
}

/** The listening server, or undefined if another process listens there. */
function tryToListen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(address, () => resolve(server))
  })
}
