import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parse as assemble } from '@bytecodealliance/jco'
import type { Engine } from '../../../src/engine/engine.ts'
import { encodeUnsigned } from '../../../src/engine/wasm-reader.ts'
import type { ErrorCode } from '../../../src/errors/error-codes.ts'
import { isHeraldError } from '../../../src/errors/herald-error.ts'
import { cellSpec, component, signal, testEngine } from '../engine-fixture.ts'

const repeat = (count: number, make: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => make(n)).join(' ')
const preamble = Buffer.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0)
const section = (id: number, content: Uint8Array) =>
  Buffer.concat([Buffer.of(id, ...encodeUnsigned(content.length)), content])
const nest = (depth: number, open: (n: number) => string, close: string) => repeat(depth, open) + close.repeat(depth)

describe('a component with', () => {
  let engine: Engine
  before(() => {
    engine = testEngine()
  })
  after(() => engine[Symbol.asyncDispose]())

  const start = async (bytes: Uint8Array) => {
    await using cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
    assert.equal(cell.state.kind, 'serving')
  }
  const refused = (bytes: Uint8Array, code: ErrorCode, message: RegExp) =>
    assert.rejects(start(bytes), (error) => {
      assert.ok(isHeraldError(error, code), String(error))
      assert.match(error.message, message)
      assert.ok(error.message.length < 1000, `${error.message.length} characters`)
      return true
    })

  test('nothing in it starts', async () => {
    const bytes = await assemble('(component)')
    const { imports, exports, coreModules } = await engine.inspect(bytes)
    assert.deepEqual({ imports, exports, coreModules }, { imports: [], exports: [], coreModules: 0 })
    await start(bytes)
  })

  test('1,000 interfaces to import is described whole, and refused in few words', async () => {
    const bytes = await assemble(
      `(component ${repeat(1000, (n) => `(import "a:b/i${n}" (instance (export "f" (func))))`)})`,
    )
    const { imports } = await engine.inspect(bytes)
    assert.equal(imports.length, 1000)
    assert.deepEqual(imports[999], { name: 'a:b/i999', functions: ['f'] })
    await refused(bytes, 'ERR_COMPONENT_IMPORT_UNKNOWN', /a:b\/i0/)
  })

  test('1,000 imports between its own modules starts', async () => {
    const bytes = await assemble(`(component
      (core module $a ${repeat(1000, (n) => `(func (export "f${n}"))`)}) (core instance $a (instantiate $a))
      (core module $m ${repeat(1000, (n) => `(import "a" "f${n}" (func))`)}) (core instance (instantiate $m (with "a" (instance $a)))))`)
    await start(bytes)
  })

  test('1,000 functions in an interface that is not there is refused in few words', async () => {
    const bytes = await assemble(
      `(component (import "a:b/c" (instance ${repeat(1000, (n) => `(export "f${n}" (func))`)})))`,
    )
    assert.equal((await engine.inspect(bytes)).imports[0]!.functions.length, 1000)
    await refused(bytes, 'ERR_COMPONENT_IMPORT_UNKNOWN', /a:b\/c/)
  })

  test('the same import a second time is refused', async () => {
    // The assembler would refuse it: the second name is changed in the bytes.
    const bytes = new Uint8Array(await assemble('(component (import "f1" (func)) (import "f2" (func)))'))
    bytes[Buffer.from(bytes).lastIndexOf('f2') + 1] = 0x31
    await assert.rejects(engine.inspect(bytes), (error) => isHeraldError(error, 'ERR_COMPONENT_INVALID'))
  })

  test('an import of the interface that it exports is refused like any other unknown one', async () => {
    const own = 'a:b/c'
    const bytes = await assemble(
      `(component (import "${own}" (instance $i (export "f" (func)))) (export "${own}" (instance $i)))`,
    )
    await refused(bytes, 'ERR_COMPONENT_IMPORT_UNKNOWN', /a:b\/c/)
  })

  test('a component to import is refused', async () => {
    const bytes = await assemble('(component (import "c" (component (import "c" (component)) (export "f" (func)))))')
    await refused(bytes, 'ERR_COMPONENT_INVALID', /./)
  })

  for (const depth of [1, 20, 100, 100_000]) {
    test(`types of instances ${depth} deep inside each other in its import is refused`, async () => {
      // An instance type with one declaration, a type, again and again: the assembler gives up at 100.
      const type = [...Array.from({ length: depth }, () => [0x42, 1, 1]).flat(), 0x42, 0]
      const name = Buffer.from('a:b/c')
      const bytes = Buffer.concat([
        preamble,
        section(7, Buffer.from([1, ...type])),
        section(10, Uint8Array.of(1, 0, name.length, ...name, 5, 0)),
      ])
      const code = depth <= 20 ? 'ERR_COMPONENT_IMPORT_UNKNOWN' : 'ERR_COMPONENT_INVALID'
      await refused(bytes, code, depth <= 20 ? /a:b\/c/ : /nested too deeply/)
    })
  }

  for (const [levels, refusal] of [
    [8, undefined],
    [15, /MB of glue/],
    [17, /MB of glue/],
    [40, /effective type size/],
  ] as const) {
    test(`a pair of pairs of pairs, ${levels} times, ${refusal ? 'is refused soon' : 'starts'}`, async () => {
      const types = repeat(levels, (n) => `(type $t${n + 1} (tuple $t${n} $t${n}))`)
      const bytes = await assemble(`(component (type $t0 (tuple u32 u32)) ${types} (type $l (list $t${levels}))
        (core module $m (memory (export "memory") 1) (func (export "f") (param i32 i32))
          (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m)) (alias core export $i "memory" (core memory $memory))
        (func (export "go") (param "s" $l) (canon lift (core func $i "f") (memory $memory) (realloc (core func $i "r")))))`)
      if (refusal === undefined) return start(bytes)
      const startedAt = performance.now()
      await refused(bytes, 'ERR_COMPONENT_INVALID', refusal)
      assert.ok(performance.now() - startedAt < 10_000)
    })
  }

  test('components inside components is run up to a depth, and refused beyond', async () => {
    await start(await assemble(nest(8, () => '(component ', ')')))
    await refused(await assemble(nest(60, () => '(component ', ')')), 'ERR_COMPONENT_INVALID', /nested too deeply/)
  })

  test('components deeper inside each other than any stack, made by hand, is refused', async () => {
    let bytes = preamble
    for (let depth = 0; depth < 5000; depth++) bytes = Buffer.concat([preamble, section(4, bytes)])
    await refused(bytes, 'ERR_COMPONENT_INVALID', /nested too deeply/)
  })
})
