import type { Cell } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { WitValueError } from '../wit/value-bytes.ts'
import { valueFromJson, valueToJson } from '../wit/value-json.ts'
import { describeSignature, type WitFunction } from '../wit/wit-type.ts'
import type { PreparedComponent } from './prepare-components.ts'

/** A call of an exported function, by the names of WIT. */
export type ExportRequest = {
  /** With or without version. */
  readonly interface: string
  readonly function: string
  /** JSON, one text for each parameter. */
  readonly args: readonly string[]
  readonly timeoutMs: number
}

/** JSON of what was returned; `isErr`: it is the `err` of a result. */
export type ExportAnswer = { readonly isErr: boolean; readonly json: string }

/**
 * Calls what a component of a workload exports, on behalf of whoever may command the host: no token is asked for, and the callee is told
 * of no caller.
 * @throws ERR_CALL_ARGUMENTS, and as `Cell.call`
 */
export async function callExport(
  request: ExportRequest,
  components: readonly PreparedComponent[],
  cells: readonly Cell[],
  { signal }: { signal: AbortSignal },
): Promise<ExportAnswer> {
  const { component, name, called } = find(request, components)
  const args = parseArguments(called, request.args)
  const cell = cells.find(({ state }) => state.kind === 'serving') ?? cells[0]
  if (cell?.call === undefined) throw new HeraldError('ERR_CELL_ENDED', 'the workload has no cell that serves')
  const call = { interface: name, function: called.name, args, timeoutMs: request.timeoutMs }
  const result = await cell.call(component, call, { signal })
  const [type, value] = resultOf(called, result)
  return { isErr: 'err' in result, json: JSON.stringify(type === undefined ? null : valueToJson(type, value)) }
}

function find({ interface: wanted, function: fn }: ExportRequest, components: readonly PreparedComponent[]) {
  const all = components.flatMap(({ facts, callable }) =>
    [...callable].flatMap(([name, functions]) =>
      functions.map((called) => ({ component: facts.componentName, name, called })),
    ),
  )
  const found = all.filter(
    ({ name, called }) => (name === wanted || name.startsWith(`${wanted}@`)) && called.name === fn,
  )
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  const shown = all.slice(0, 8).map(({ name, called }) => `${name}.${called.name}${describeSignature(called)}`)
  const hint = shown.length === 0 ? 'its components export no functions of their own' : `there are ${shown.join('; ')}`
  const why = only === undefined ? 'no component exports' : 'more than one component exports'
  throw new HeraldError('ERR_CALL_ARGUMENTS', `${why} ${wanted}.${fn}`, { hint })
}

function parseArguments(called: WitFunction, args: readonly string[]): unknown[] {
  const signature = `${called.name}${describeSignature(called)}`
  if (args.length !== called.params.length) {
    throw new HeraldError('ERR_CALL_ARGUMENTS', `${args.length} arguments for ${signature}`, {
      hint: 'give one JSON value for each parameter',
    })
  }
  return called.params.map(({ name, type }, index) => {
    try {
      return valueFromJson(type, JSON.parse(args[index] ?? ''), name)
    } catch (error) {
      const why = error instanceof WitValueError ? error.message : `${name}: not JSON`
      throw new HeraldError('ERR_CALL_ARGUMENTS', `${why}, for ${signature}`, {
        hint: `arguments are JSON: a text in its quotes, '"alice"'`,
      })
    }
  })
}

function resultOf({ result }: WitFunction, answer: { readonly ok: unknown } | { readonly err: unknown }) {
  if ('err' in answer) return [result?.kind === 'result' ? result.err : undefined, answer.err] as const
  return [result?.kind === 'result' ? result.ok : result, answer.ok] as const
}
