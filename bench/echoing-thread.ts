import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'

/** A thread that gives back what it gets, in order: what is between the control thread and a component that is called, whoever writes it. Disposal ends it. */
export type EchoingThread = AsyncDisposable & {
  echo(body: Uint8Array): Promise<Uint8Array>
}

export async function startEchoingThread(): Promise<EchoingThread> {
  const worker = new Worker(import.meta.filename)
  await once(worker, 'online')
  const waiting: ((body: Uint8Array) => void)[] = []
  worker.on('message', ({ body }: { body: Uint8Array }) => waiting.shift()?.(body))
  return {
    echo(body) {
      const { promise, resolve } = Promise.withResolvers<Uint8Array>()
      waiting.push(resolve)
      worker.postMessage({ body })
      return promise
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

if (!isMainThread) parentPort!.on('message', (message) => parentPort!.postMessage(message))
