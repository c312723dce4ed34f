import { Worker } from 'node:worker_threads'
import type { ErrorCode } from '../errors/error-codes.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { CompiledComponent, CompileJob } from './compile-job.ts'
import { workerUrl } from './worker-url.ts'

/** Longest time for one component, ms; for one of up to `smallBytes` less: what is small and takes long was made to. */
const timeoutMs = 60_000
const smallTimeoutMs = 20_000
const smallBytes = 256 * 1024
/** How long an idle compile worker (about 100 MB with jco loaded) is kept. */
const idleMs = 30_000

type Answer = {
  /** Of the job. */
  id: number
  compiled?: CompiledComponent
  error?: { code: ErrorCode; message: string; hint: string | undefined }
  spoilt?: boolean
}

/** A worker thread that compiles one component at a time, there only while it is needed; a component that kills or blocks it fails alone. */
export class CompileLane implements AsyncDisposable {
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined

  /** @throws HeraldError with an ERR_COMPONENT_… code; the signal's reason when aborted. */
  async compile(job: CompileJob, signal: AbortSignal | undefined): Promise<CompiledComponent> {
    clearTimeout(this.#idle)
    this.#worker ??= this.#start()
    const worker = this.#worker
    let answered = false
    try {
      const answer = await ask(worker, job, signal)
      answered = true
      if (answer.error !== undefined) {
        const { code, message, hint } = answer.error
        if (answer.spoilt) await this.#drop(worker)
        throw new HeraldError(code, message, { ...(hint !== undefined && { hint }) })
      }
      return answer.compiled!
    } catch (error) {
      // One that was given up may still be at it: what it says then must never be taken for another component's.
      if (!answered) await this.#drop(worker)
      throw error
    } finally {
      this.#idle = setTimeout(() => void this.#drop(worker), idleMs)
      this.#idle.unref()
    }
  }

  #start(): Worker {
    const worker = new Worker(workerUrl('compile-worker', import.meta.url), {
      name: 'herald-compile',
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 2048, stackSizeMb: 8 },
    })
    worker.unref()
    worker.on('error', () => {})
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    return worker
  }

  async #drop(worker: Worker): Promise<void> {
    if (this.#worker === worker) this.#worker = undefined
    await worker.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    if (worker) await this.#drop(worker)
  }
}

/** Jobs posted by this thread so far, whatever engine they are of. */
let jobs = 0

function ask(worker: Worker, job: CompileJob, signal: AbortSignal | undefined): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const invalid = (what: string, cause: unknown) =>
    reject(
      new HeraldError('ERR_COMPONENT_INVALID', `component ${job.component}: ${what}`, {
        hint: 'the component is damaged or hostile; check it with wasm-tools validate',
        cause,
      }),
    )
  const onError = (error: unknown) => invalid('reading it ended the compile worker', error)
  const onExit = () => invalid('reading it ended the compile worker', 'exit')
  const onAbort = () => reject(signal?.reason)
  const limitMs = job.bytes.byteLength <= smallBytes ? smallTimeoutMs : timeoutMs
  const timer = setTimeout(() => invalid(`compiling took longer than ${limitMs / 1000} s`, 'timeout'), limitMs)
  const id = ++jobs
  const onMessage = (answer: Answer) => answer.id === id && resolve(answer)
  worker.on('message', onMessage)
  worker.once('error', onError)
  worker.once('exit', onExit)
  signal?.addEventListener('abort', onAbort, { once: true })
  // While it works it keeps the process alive, as any other pending operation does.
  worker.ref()
  worker.postMessage({ id, job })
  return promise.finally(() => {
    clearTimeout(timer)
    worker.unref()
    worker.off('message', onMessage)
    worker.off('error', onError)
    worker.off('exit', onExit)
    signal?.removeEventListener('abort', onAbort)
  })
}
