import { decodeValues, encodeValues, WitValueError } from '../../wit/value-bytes.ts'
import { jsName, type WitFunction } from '../../wit/wit-type.ts'
import { CallFailure } from '../call-failure.ts'
import type { CellCapability, CellChannel, InstanceContext } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import { packBodies, unpackBodies } from '../packed-bodies.ts'
import type {
  CallOutcome,
  CallsCellConfig,
  EndedCall,
  FromCell,
  IncomingCall,
  OutgoingCall,
  ToCell,
} from './call-messages.ts'

/** Calls in the cell: values become bytes and come back. No token is here. */
export function openCapability(config: unknown, channel: CellChannel): CellCapability {
  const { imports, exports } = config as CallsCellConfig
  /** Incoming. */
  const running = new Map<number, AbortController>()
  /** Outgoing. */
  const waiting = new Map<number, PromiseWithResolvers<CallOutcome>>()
  let nextId = 1
  let calls: FromCell['calls'][number][] = []
  let args: Uint8Array[] = []
  let cancelled: number[] = []
  let ended: FromCell['ended'][number][] = []
  let returned: Uint8Array[] = []
  let scheduled = false

  /** What happens in one turn of the event loop goes out together. */
  function soon(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    const flow: FromCell = { calls, cancelled, ended, bodies: packBodies(args.concat(returned)) }
    calls = []
    args = []
    cancelled = []
    ended = []
    returned = []
    channel.tell!('flow', flow)
  }

  function settle(id: number, outcome: CallOutcome): void {
    waiting.get(id)?.resolve(outcome)
    waiting.delete(id)
  }

  function end({ bytes, ...call }: EndedCall): void {
    ended.push(call)
    if (bytes !== undefined) returned.push(bytes)
    soon()
  }

  /** @throws the signal's reason */
  function ask(call: Omit<OutgoingCall, 'id'>, signal: AbortSignal): Promise<CallOutcome> {
    signal.throwIfAborted()
    const id = nextId++
    const outcome = Promise.withResolvers<CallOutcome>()
    waiting.set(id, outcome)
    const onAbort = (): void => {
      if (!waiting.delete(id)) return
      cancelled.push(id)
      soon()
      outcome.reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const { args: body, ...asked } = call
    calls.push({ ...asked, id })
    args.push(body)
    soon()
    return outcome.promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  async function run(call: IncomingCall): Promise<void> {
    const { id, caller, budgetMs, trace } = call
    const offered = exports[call.interface]
    const called = offered?.functions[call.function]
    if (offered === undefined || called === undefined)
      return end({ id, refusal: 'unknown', message: 'there is no such function' })
    const controller = new AbortController()
    running.set(id, controller)
    try {
      const args = decodeValues(
        called.params.map(({ type }) => type),
        call.args,
      )
      const options = {
        deadlineMs: performance.now() + budgetMs,
        signal: controller.signal,
        caller: { tag: 'component' as const, val: caller },
        ...(trace !== undefined && { within: { trace } }),
      }
      const returned = await resultOf(called, () =>
        channel.callGuest!(offered.name, jsName(called.name), args, options),
      )
      end({ id, bytes: called.result === undefined ? new Uint8Array() : encodeValues([called.result], [returned]) })
    } catch (error) {
      end({ id, ...refusalOf(error, controller.signal) })
    } finally {
      running.delete(id)
    }
  }

  channel.onMessage((message) => {
    const received = message as ToCell
    const bodies = unpackBodies(received.bodies).values()
    for (const call of received.calls) void run({ ...call, args: bodies.next().value! })
    for (const answer of received.answers)
      settle(answer.id, answer.kind === 'failed' ? answer : { kind: 'returned', bytes: bodies.next().value! })
    for (const id of received.cancelled) running.get(id)?.abort(new CallFailure('failed', 'the caller no longer waits'))
  })

  return {
    prepare: (instance) =>
      Object.fromEntries(
        imports.map(({ name, label, functions }, at) => [
          label ?? name.replace(/@.*$/, ''),
          Object.fromEntries(functions.map((called, fn) => [jsName(called.name), call(instance, called, at, fn)])),
        ]),
      ),
  }

  function call(instance: InstanceContext, called: WitFunction, at: number, fn: number) {
    const paramTypes = called.params.map(({ type }) => type)
    const resultTypes = called.result === undefined ? [] : [called.result]
    return async (...args: unknown[]): Promise<unknown> => {
      let returned: unknown
      try {
        const budgetMs = (instance.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now()
        const { trace } = instance
        const made = { interface: at, function: fn, args: encodeValues(paramTypes, args), budgetMs }
        const asked = trace === undefined ? made : { ...made, trace }
        const answer = await ask(asked, instance.signal)
        if (answer.kind === 'failed') throw new CallFailure(answer.as, answer.message)
        returned = decodeValues(resultTypes, answer.bytes)[0]
      } catch (error) {
        // Nothing goes on after a call that did not return: also where the function has no result to say so in.
        const failure = failureOf(error)
        instance.end?.(failure)
        throw failure
      }
      if (called.result?.kind !== 'result') return returned
      const { tag, val } = returned as { tag: 'ok' | 'err'; val: unknown }
      if (tag === 'err') throw new GuestFailure(val)
      return val
    }
  }
}

/** What a function gave, as a value of its result type: jco throws the `err` of a result, and unwraps its `ok`. */
async function resultOf({ result }: WitFunction, enter: () => Promise<unknown>): Promise<unknown> {
  if (result?.kind !== 'result') return enter()
  try {
    return { tag: 'ok', val: await enter() }
  } catch (error) {
    if (typeof error !== 'object' || error === null || !('payload' in error)) throw error
    return { tag: 'err', val: error.payload }
  }
}

function failureOf(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error
  if (error instanceof WitValueError)
    return new CallFailure('failed', `what came back is not of its type: ${error.message}`)
  return new CallFailure('failed', error instanceof Error ? error.message : String(error))
}

function refusalOf(error: unknown, signal: AbortSignal): Pick<EndedCall, 'refusal' | 'message'> {
  if (error instanceof WitValueError) return { refusal: 'malformed', message: error.message }
  if (signal.aborted) return { refusal: 'cancelled', message: 'the caller no longer waits' }
  const name = error instanceof Error ? error.name : ''
  if (name === 'PoolBusyError') return { refusal: 'busy', message: 'too many calls are waiting for an instance' }
  if (name === 'DeadlineError') return { refusal: 'deadline', message: 'it took too long' }
  // What a guest's trap says is its own business, and may hold what its caller is not to know.
  return { refusal: 'failed', message: 'the component failed to answer' }
}
