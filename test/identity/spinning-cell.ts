// A worker thread in the place of a cell whose guest never lets the event loop turn once it has its first token.
import { parentPort, workerData } from 'node:worker_threads'
import { openCapability } from '../../src/capabilities/identity/identity-cell.ts'

type Store = { get(audience: string): string | Promise<string> }

const capability = openCapability(workerData, {
  request: (method, payload) => {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    parentPort?.once('message', resolve)
    parentPort?.postMessage({ method, payload })
    return promise
  },
  onMessage() {},
})
const store = capability.prepare({ signal: new AbortController().signal })['wasmcloud:identity/store'] as Store
await store.get('a')
parentPort?.postMessage({ method: 'spinning' })
let calls = 0
let answer: unknown
const giveUpAt = Date.now() + 20_000
do {
  answer = store.get('a')
  calls += 1
} while (typeof answer === 'string' && Date.now() < giveUpAt)
parentPort?.postMessage({ method: 'stopped', calls, sawEviction: typeof answer !== 'string' })
