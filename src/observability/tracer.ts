import { AsyncLocalStorage } from 'node:async_hooks'
import { isHeraldError } from '../errors/herald-error.ts'
import { SpanBatch, type SpanSink } from './span.ts'
import { type SpanAttributes, type SpanDefinition, type SpanType, spanCatalog } from './span-catalog.ts'
import { type TraceContext, TraceIds } from './trace-context.ts'

export type TraceSampling = {
  /** Whether what the caller decided holds, where it did. */
  readonly parentBased: boolean
  /** Share of the traces that begin here, 0 to 1. */
  readonly ratio: number
}

/** Of a host that sends traces: what its threads need to make spans, and where those go. */
export type Tracing = {
  readonly sampling: TraceSampling
  readonly onSpans: SpanSink
  /** Of the control thread. */
  readonly tracer: Tracer
}

type Scope = { readonly context: TraceContext; open: boolean }

/** Makes the spans of one thread. Where nobody gets spans there is no tracer. */
export class Tracer {
  readonly #sampling: TraceSampling
  readonly #ids = new TraceIds()
  readonly #batch: SpanBatch
  readonly #scopes = new AsyncLocalStorage<Scope>()

  constructor(sampling: TraceSampling, sink: SpanSink) {
    this.#sampling = sampling
    this.#batch = new SpanBatch(sink)
  }

  /** Of the work that goes on now, see {@link within}. What a piece of work leaves behind (timers, renewals) belongs to no trace. */
  get current(): TraceContext | undefined {
    const scope = this.#scopes.getStore()
    return scope?.open === true ? scope.context : undefined
  }

  /** Has the spans that begin before the promise settles be children of `context`. */
  async within<T>(context: TraceContext, work: () => Promise<T>): Promise<T> {
    const scope: Scope = { context, open: true }
    try {
      return await this.#scopes.run(scope, work)
    } finally {
      scope.open = false
    }
  }

  /** @param parent without one a trace begins, if sampling has it @param name default: the type */
  begin<Type extends SpanType>(type: Type, parent: TraceContext | undefined, name: string = type): ActiveSpan<Type> {
    const { parentBased, ratio } = this.#sampling
    const { kind }: SpanDefinition = spanCatalog[type]
    // What this host decided holds for all that it does itself.
    const holds = parentBased || (kind !== 'server' && kind !== 'consumer')
    const sampled = parent !== undefined && holds ? parent.sampled : Math.random() < ratio
    const context = {
      traceId: parent?.traceId ?? this.#ids.traceId(),
      spanId: this.#ids.spanId(),
      sampled,
      state: parent?.state,
    }
    return new ActiveSpan(type, name, context, parent?.spanId, sampled ? this.#batch : undefined)
  }

  /** A span of all that `work` does; what it throws ends it as failed. Its parent is {@link current}. */
  async measure<Type extends SpanType, T>(
    type: Type,
    attributes: SpanAttributes<Type>,
    work: (span: ActiveSpan<Type>) => Promise<T>,
  ): Promise<T> {
    const span = this.begin(type, this.current)
    span.set(attributes)
    try {
      const result = await this.within(span.context, () => work(span))
      span.end()
      return result
    } catch (error) {
      span.fail(codeOf(error))
      throw error
    }
  }

  flush(): void {
    this.#batch.flush()
  }

  /** The thread ends soon: spans go out one by one from now on. */
  ending(): void {
    this.#batch.ending()
  }
}

/** A span from its begin to its end. One that is not sampled is only a context to be passed on. */
export class ActiveSpan<Type extends SpanType> {
  readonly context: TraceContext
  readonly #type: Type
  readonly #name: string
  readonly #parentSpanId: string | undefined
  readonly #startMs: number
  readonly #attributes: Record<string, NonNullable<SpanAttributes<Type>[keyof SpanAttributes<Type>]>> = {}
  #batch: SpanBatch | undefined
  #error: string | undefined

  constructor(
    type: Type,
    name: string,
    context: TraceContext,
    parentSpanId: string | undefined,
    batch: SpanBatch | undefined,
  ) {
    this.#type = type
    this.#name = name
    this.context = context
    this.#parentSpanId = parentSpanId
    this.#batch = batch
    this.#startMs = batch === undefined ? 0 : performance.timeOrigin + performance.now()
  }

  set(attributes: SpanAttributes<Type>): void {
    if (this.#batch === undefined) return
    for (const name in attributes) {
      const value = attributes[name as keyof SpanAttributes<Type>]
      if (value !== undefined && value !== null) this.#attributes[name] = value
    }
  }

  /** It counts as failed once it ends. */
  failed(errorType: string): void {
    this.#error = errorType
    this.set({ 'error.type': errorType } as SpanAttributes<Type>)
  }

  /** Idempotent. */
  end(): void {
    const batch = this.#batch
    this.#batch = undefined
    batch?.add({
      ...{ traceId: this.context.traceId, spanId: this.context.spanId, parentSpanId: this.#parentSpanId },
      ...{ name: this.#name, kind: (spanCatalog[this.#type] satisfies SpanDefinition).kind },
      ...{ startMs: this.#startMs, endMs: performance.timeOrigin + performance.now() },
      attributes: this.#attributes,
      ...(this.#error !== undefined && { error: this.#error }),
    })
  }

  fail(errorType: string): void {
    this.failed(errorType)
    this.end()
  }
}

/** `work`, as a span where there is a tracer. */
export function measured<Type extends SpanType, T>(
  tracer: Tracer | undefined,
  type: Type,
  attributes: SpanAttributes<Type>,
  work: (span: ActiveSpan<Type> | undefined) => Promise<T>,
): Promise<T> {
  return tracer === undefined ? work(undefined) : tracer.measure(type, attributes, work)
}

/** For `error.type`. */
export function codeOf(error: unknown): string {
  return isHeraldError(error) ? error.code : 'ERR_INTERNAL'
}
