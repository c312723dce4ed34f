import { deepStrictEqual, match, ok, strictEqual, throws } from 'node:assert'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  emptyInstanceImports,
  functionsOf,
  implementationOf,
  wasiTable,
  witFunctions,
} from '../../scripts/generate-wasi-table.ts'
import { refusedFunctions } from '../../src/wasi/refused-functions.ts'
import { wasiInterfaces, wasiWaits } from '../../src/wasi/wasi-interfaces.ts'

const imports = emptyInstanceImports()
const functions = witFunctions()
const guestExports = ['wasi:cli/run', 'wasi:http/incoming-handler']
const served = functions.filter((row) => !guestExports.includes(row.interface))

test('docs/wasi.md is what the code and the WIT say', () => {
  strictEqual(
    readFileSync(new URL('../../docs/wasi.md', import.meta.url), 'utf8'),
    wasiTable(),
    'run node scripts/generate-wasi-table.ts',
  )
})

test('no function of the WIT is overlooked by the reader of the table', () => {
  const folder = new URL('../../node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12/', import.meta.url)
  let declared = 0
  for (const name of ['io', 'clocks', 'random', 'cli', 'filesystem', 'http', 'sockets']) {
    const text = readFileSync(new URL(`wasi-${name}/package.wit`, folder), 'utf8').replace(/\/\/.*$/gm, '')
    declared += text.match(/:\s*(?:static\s+)?func\s*\(|\bconstructor\s*\(/g)?.length ?? 0
  }
  strictEqual(functions.length, declared)
})

test('every function of the WIT is there', () => {
  for (const row of served) {
    strictEqual(typeof implementationOf(imports, row), 'function', `${row.interface}#${row.name}`)
  }
})

test('every interface that is declared is served, and the other way round', () => {
  deepStrictEqual(Object.keys(imports).sort(), [...wasiInterfaces].sort())
  for (const row of served) ok(wasiInterfaces.includes(row.interface), row.interface)
})

test('exactly the functions named blocking, block and poll may wait', () => {
  const waits = functions
    .filter(({ name }) => name === 'poll' || /\.(?:block$|blocking-)/.test(name))
    .map((row) => `${row.interface}#${row.name}`)
  deepStrictEqual([...wasiWaits].sort(), waits.sort())
})

test('what the table calls refused always refuses with that error, and nothing else is a mere refusal', () => {
  for (const row of served) {
    const id = `${row.interface}#${row.name}`
    const implementation = implementationOf(imports, row) as (...args: unknown[]) => unknown
    const refusal = refusedFunctions[id]
    if (refusal === undefined) {
      if (row.name.startsWith('[constructor]')) continue
      const body = implementation
        .toString()
        .replace(/^[^{]*\{/, '')
        .trim()
      ok(!/^throw '/.test(body) && !/^(?:const refusal|throw new Error\('not)/.test(body), `${id} only refuses`)
      continue
    }
    throws(
      () => implementation.call({}, 1, 1),
      (error) => {
        strictEqual(typeof error === 'string' ? error : (error as { tag: string }).tag, refusal.error, id)
        return true
      },
    )
  }
  for (const id of Object.keys(refusedFunctions)) {
    ok(
      functions.some((row) => `${row.interface}#${row.name}` === id),
      `${id} is no function of the WIT`,
    )
  }
})

test('the reader of the table understands resources, statics, constructors and unstable items', () => {
  const text = `package a:b@1.0.0;
interface one {
  record r { a: u8, }
  resource thing {
    constructor(x: u8);
    m: func() -> result<u8>;
    %stream: static func(
      this: thing,
    ) -> u8;
  }
  @unstable(feature = x)
  f: func();
  g: func(a: u8);
}
world w { import one; }
`
  deepStrictEqual(functionsOf(text), [
    { interface: 'a:b/one', name: '[constructor]thing', unstable: false },
    { interface: 'a:b/one', name: '[method]thing.m', unstable: false },
    { interface: 'a:b/one', name: '[static]thing.stream', unstable: false },
    { interface: 'a:b/one', name: 'f', unstable: true },
    { interface: 'a:b/one', name: 'g', unstable: false },
  ])
  match(wasiTable(), /0 are missing/)
})
