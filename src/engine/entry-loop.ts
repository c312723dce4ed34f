import { encodeUnsigned } from './wasm-reader.ts'

/** What the canonical ABI passes without memory. */
const mostParameters = 16
const i32 = 0x7f

/**
 * (module
 *   (import "e" "next" (func $next (result i32)))
 *   (import "e" "argument" (func $argument (param i32) (result i32)))
 *   (import "e" "call" (func $call (param i32 …) (result i32)?))
 *   (import "e" "done" (func $done (param i32)?))
 *   (func (export "loop")
 *     (loop $again
 *       (br_if 1 (i32.lt_s (call $next) (i32.const 0)))
 *       (call $done (call $call (call $argument (i32.const 0)) …))
 *       (br $again))))
 */
function loopBytes(parameters: number, hasResult: boolean): Uint8Array<ArrayBuffer> {
  const result = hasResult ? [1, i32] : [0]
  const parameter = hasResult ? [1, i32] : [0]
  const imported = (name: string, type: number) => [1, 0x65, name.length, ...Buffer.from(name), 0, type]
  const section = (id: number, body: readonly number[]) => [id, ...encodeUnsigned(body.length), ...body]
  const callArguments = Array.from({ length: parameters }, (_, index) => [0x41, index, 0x10, 1]).flat()
  const code = [
    ...[0, 0x03, 0x40, 0x10, 0, 0x41, 0, 0x48, 0x0d, 1],
    ...callArguments,
    ...[0x10, 2, 0x10, 3, 0x0c, 0, 0x0b, 0x0b],
  ]
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [
      ...[5, 0x60, 0, 1, i32, 0x60, 1, i32, 1, i32],
      ...[0x60, parameters, ...Array(parameters).fill(i32), ...result],
      ...[0x60, ...parameter, 0, 0x60, 0, 0],
    ]),
    ...section(2, [
      4,
      ...imported('next', 0),
      ...imported('argument', 1),
      ...imported('call', 2),
      ...imported('done', 3),
    ]),
    ...section(3, [1, 4]),
    ...section(7, [1, 4, ...Buffer.from('loop'), 0, 4]),
    ...section(10, [1, ...encodeUnsigned(code.length), ...code]),
  ])
}

const modules = new Map<string, WebAssembly.Module>()

/**
 * A module that calls a function of so many i32, with or without an i32 as its result, again and again; `undefined` when there is none for so
 * many. Each is made once.
 */
export function entryLoop(parameters: number, hasResult: boolean): WebAssembly.Module | undefined {
  if (parameters > mostParameters) return undefined
  const key = `${parameters} ${hasResult}`
  const known = modules.get(key) ?? new WebAssembly.Module(loopBytes(parameters, hasResult))
  modules.set(key, known)
  return known
}
