import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'

/**
 * A thread that asks this one for something and waits for the answer before it asks again: what is between a cell and the control thread whoever
 * writes it. Disposal ends it.
 */
export type AskingThread = AsyncDisposable & {
  /** µs of one answer, of `count` in a row. */
  measure(count: number, get: () => Promise<unknown>): Promise<number>
}

export async function startAskingThread(): Promise<AskingThread> {
  const worker = new Worker(import.meta.filename)
  await once(worker, 'online')
  return {
    async measure(count, get) {
      const { promise, resolve } = Promise.withResolvers<number>()
      const onMessage = (message: { tookMs?: number }) => {
        if (message.tookMs !== undefined) resolve((message.tookMs * 1000) / count)
        else void get().then((value) => worker.postMessage({ value }))
      }
      worker.on('message', onMessage)
      worker.postMessage({ count })
      try {
        return await promise
      } finally {
        worker.off('message', onMessage)
      }
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

if (!isMainThread) {
  const port = parentPort!
  let left = 0
  let startedMs = 0
  port.on('message', (message: { count?: number }) => {
    if (message.count !== undefined) {
      left = message.count
      startedMs = performance.now()
    } else left -= 1
    port.postMessage(left === 0 ? { tookMs: performance.now() - startedMs } : {})
  })
}
