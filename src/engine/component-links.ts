import { jsName } from '../wit/wit-type.ts'
import type { CellInstance } from './cell-instance.ts'
import { parseInterfaceName } from './component-imports.ts'
import type { ComponentLink } from './engine.ts'
import { type CallableComponent, CalleeFailure, isGuestError } from './guest-call.ts'

/**
 * Imports of one instance that other components of the cell serve. A call runs on an instance of the callee's own pool, until the caller's
 * deadline at the latest; it ends with the caller. What the callee returns, its `err` too, goes to the caller. When it fails otherwise the
 * caller's call ends as by a trap of its own: no guest goes on after a call that did not return, as the component model has it.
 */
export function linkImports(
  caller: CellInstance,
  callerName: string,
  links: readonly ComponentLink[],
  componentOf: (name: string) => CallableComponent | undefined,
): Record<string, object> {
  const imports: Record<string, object> = {}
  for (const { imported, functions, component, exported } of links) {
    const linked: Record<string, (...args: unknown[]) => Promise<unknown>> = {}
    for (const fn of functions.map(jsName)) {
      linked[fn] = async (...args) => {
        try {
          const callee = componentOf(component)
          if (callee === undefined) throw new Error('it is not there yet')
          return await callee.call(exported, fn, args, {
            deadlineMs: caller.deadlineMs,
            signal: caller.signal,
            caller: { tag: 'sibling', val: callerName },
            within: caller.wasi,
          })
        } catch (error) {
          if (isGuestError(error)) throw error
          const failure = new CalleeFailure(component, error)
          caller.end(failure)
          throw failure
        }
      }
    }
    imports[parseInterfaceName(imported).base] = linked
  }
  return imports
}
