import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parse } from '@bytecodealliance/jco'
import type { Engine } from '../../src/engine/engine.ts'
import type { ErrorCode } from '../../src/errors/error-codes.ts'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { cellSpec, component, signal, testEngine } from './engine-fixture.ts'
import { faultsComponent, watComponent } from './guests/build-guest.ts'

const empty = '(module (memory (export "memory") 1))'
const importing = (iface: string, pkg: string, name: string) =>
  watComponent(
    `(module (import "${iface}" "${name}" (func)) (memory (export "memory") 1) (func (export "go") (call 0)))`,
    `package test:guest; package ${pkg} { interface ${/\/([a-z-]+)/.exec(iface)![1]} { ${name}: func(); } } world guest { import ${iface}; export go: func(); }`,
    'guest',
  )

describe('a component is refused with its reason, and the engine goes on', () => {
  let engine: Engine
  let good: Uint8Array
  before(async () => {
    engine = testEngine()
    good = await faultsComponent()
  })
  after(() => engine[Symbol.asyncDispose]())

  const refused: [what: string, bytes: () => Uint8Array | Promise<Uint8Array>, code: ErrorCode, message: RegExp][] = [
    ['an empty file', () => new Uint8Array(), 'ERR_COMPONENT_INVALID', /empty/],
    ['a text', () => new TextEncoder().encode('#!/bin/sh\necho'), 'ERR_COMPONENT_INVALID', /not WebAssembly/],
    ['a file cut in half', () => good.subarray(0, good.length / 2), 'ERR_COMPONENT_INVALID', /unexpected end/],
    ['a file cut inside its header', () => good.subarray(0, 5), 'ERR_COMPONENT_INVALID', /unexpected end/],
    ['a core module', () => parse(empty), 'ERR_COMPONENT_INVALID', /a core module/],
    [
      'an unknown import',
      () => importing('my:house/things', 'my:house', 'go-on'),
      'ERR_COMPONENT_IMPORT_UNKNOWN',
      /my:house\/things/,
    ],
    [
      'WASI 0.3',
      () => importing('wasi:clocks/wall-clock@0.3.0', 'wasi:clocks@0.3.0', 'now'),
      'ERR_COMPONENT_WASI_VERSION',
      /@0\.3\.0/,
    ],
    [
      'a draft of WASI',
      () => importing('wasi:io/poll@0.2.0-rc-2023-11-10', 'wasi:io@0.2.0-rc-2023-11-10', 'poll'),
      'ERR_COMPONENT_WASI_VERSION',
      /rc/,
    ],
    [
      'more memory at start than its limit',
      () => watComponent('(module (memory (export "memory") 2000))', 'package a:b; world w {}', 'w'),
      'ERR_COMPONENT_MEMORY',
      /131072000 bytes/,
    ],
  ]
  for (const [what, bytes, code, message] of refused) {
    test(`for ${what}`, async () => {
      const spec = cellSpec(component(await bytes(), { memoryLimitMb: 64 }))
      await assert.rejects(engine.startCell(spec, { signal: signal() }), (error) => {
        assert.ok(isHeraldError(error, code), String(error))
        assert.match(error.message, message)
        assert.ok(error.hint)
        return true
      })
    })
  }

  test('for a name that would leave its quotes in generated code', async () => {
    const bytes = await watComponent(
      `(module (memory (export "memory") 1) (func (export "x'];process.exit(9);//")))`,
      'package a:b; world w {}',
      'w',
    )
    await assert.rejects(engine.startCell(cellSpec(component(bytes)), { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_COMPONENT_INVALID'),
    )
  })

  test('for an export it does not have', async () => {
    const bytes = await watComponent(empty, 'package a:b; world w {}', 'w')
    await using cell = await engine.startCell(cellSpec(component(bytes)), { signal: signal() })
    assert.throws(
      () => cell.connectHttp('guest'),
      (error) => isHeraldError(error, 'ERR_COMPONENT_EXPORT_MISSING'),
    )
    await assert.rejects(cell.run('guest', { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_COMPONENT_EXPORT_MISSING'),
    )
  })

  test('for a start function that traps', async () => {
    const bytes = await watComponent(
      '(module (memory (export "memory") 1) (func $go unreachable) (start $go) (func (export "wasi:http/incoming-handler@0.2.0#handle") (param i32 i32)))',
      `package a:b;
       package wasi:http@0.2.0 {
         interface types { resource incoming-request; resource response-outparam; }
         interface incoming-handler { use types.{incoming-request, response-outparam}; handle: func(request: incoming-request, response-out: response-outparam); }
       }
       world w { export wasi:http/incoming-handler@0.2.0; }`,
      'w',
    )
    await assert.rejects(engine.startCell(cellSpec(component(bytes)), { signal: signal() }), (error) =>
      isHeraldError(error, 'ERR_COMPONENT_START'),
    )
  })

  test('and random damage to a real component is never more than an error', async () => {
    let random = 12_345
    const next = (below: number) => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff
      return random % below
    }
    for (let round = 0; round < 60; round++) {
      const bytes = Uint8Array.from(good)
      for (let flips = 1 + next(4); flips > 0; flips--) bytes[next(bytes.length)]! ^= 1 << next(8)
      await engine.inspect(bytes).catch((error) => assert.ok(isHeraldError(error), String(error)))
    }
    assert.equal((await engine.inspect(good)).sizeBytes, good.length)
  })

  test('while inspect says what a good one imports and exports', async () => {
    const { imports, exports, minimumMemoryBytes, sha256, glue } = await engine.inspect(good)
    assert.ok(
      imports.some(
        ({ name, functions }) => name === 'wasi:io/poll@0.2.12' && functions.includes('[method]pollable.block'),
      ),
    )
    assert.deepEqual(
      exports.map(({ name, functions }) => [name, functions]),
      [
        ['wasi:http/incoming-handler@0.2.12', ['handle']],
        ['wasi:cli/run@0.2.12', ['run']],
      ],
    )
    assert.ok(minimumMemoryBytes >= 65_536)
    assert.match(sha256, /^[0-9a-f]{64}$/)
    assert.deepEqual(glue, { slim: true })
  })
})
