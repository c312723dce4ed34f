import { Worker } from 'node:worker_threads'
import type { ErrorCode } from '../errors/error-codes.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { CompiledComponent, CompileJob } from './compile-job.ts'
import { KeptComponents, keyOfJob } from './kept-components.ts'
import { workerUrl } from './worker-url.ts'

const timeoutMs = 60_000
/** How long an idle compile worker (about 100 MB with jco loaded) is kept. */
const idleMs = 30_000

type Answer = {
  /** Of the job. */
  id: number
  compiled?: CompiledComponent
  error?: { code: ErrorCode; message: string; hint: string | undefined }
  spoilt?: boolean
}

/** Compiles components on a worker thread, one after the other, and those that are in use once; a component that kills or blocks the worker fails alone. */
export class Compiler implements AsyncDisposable {
  readonly #kept = new KeptComponents()
  #worker: Worker | undefined
  #last: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined
  #closed = false

  /** @throws HeraldError with an ERR_COMPONENT_… code; the signal's reason when aborted. */
  compile(job: CompileJob, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<CompiledComponent> {
    const turn = this.#last.then(
      () => this.#run(job, signal),
      () => this.#run(job, signal),
    )
    this.#last = turn.catch(() => {})
    return turn
  }

  async #run(job: CompileJob, signal: AbortSignal | undefined): Promise<CompiledComponent> {
    // What is only described has nothing that somebody could hold.
    const key = job.served === undefined ? undefined : await keyOfJob(job)
    signal?.throwIfAborted()
    if (this.#closed) throw new HeraldError('ERR_CELL_ENDED', 'the engine is closed')
    const kept = key === undefined ? undefined : this.#kept.get(key)
    if (kept !== undefined) return kept
    const compiled = await this.#compile(job, signal)
    if (key !== undefined) this.#kept.keep(key, compiled)
    return compiled
  }

  async #compile(job: CompileJob, signal: AbortSignal | undefined): Promise<CompiledComponent> {
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
    this.#closed = true
    this.#kept.clear()
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
  const timer = setTimeout(() => invalid(`compiling took longer than ${timeoutMs / 1000} s`, 'timeout'), timeoutMs)
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
