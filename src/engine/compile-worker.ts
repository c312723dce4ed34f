import { parentPort } from 'node:worker_threads'
import { isHeraldError } from '../errors/herald-error.ts'
import { type CompileJob, compileComponent } from './compile-job.ts'

/** Entry of the compile worker: one job at a time, answers with the compiled component or with an error's fields. */
const port = parentPort!
port.on('message', async ({ id, job }: { id: number; job: CompileJob }) => {
  try {
    port.postMessage({ id, compiled: await compileComponent(job) })
  } catch (error) {
    if (!isHeraldError(error)) throw error
    // A trap inside jco's own WebAssembly leaves that instance in an unknown state: this thread is not used again.
    const spoilt = error.cause instanceof WebAssembly.RuntimeError || error.cause instanceof RangeError
    port.postMessage({ id, error: { code: error.code, message: error.message, hint: error.hint }, spoilt })
  }
})
