import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { bypassShim } from '../../src/engine/bypass-shim.ts'
import { readComponent } from '../../src/engine/component-binary.ts'
import { slimGlue } from '../../src/engine/slim-glue.ts'
import { transpileComponent } from '../../src/engine/transpile.ts'
import { wasiWaits } from '../../src/wasi/wasi-interfaces.ts'
import { faultsComponent } from './guests/build-guest.ts'

const shimName = 'component.core2.wasm'
const fillerName = 'component.core3.wasm'

describe('the shim of a component', () => {
  let source = ''
  let modules = new Map<string, Uint8Array>()
  before(async () => {
    const bytes = await faultsComponent()
    const transpiled = await transpileComponent(bytes, { ...readComponent(bytes), waits: wasiWaits })
    const slim = slimGlue(transpiled.glue)
    assert.ok(slim.slim)
    source = slim.source
    modules = new Map(transpiled.modules)
  })
  const without = (changes: Readonly<Record<string, Uint8Array>>, text = source) =>
    bypassShim(text, new Map([...modules, ...Object.entries(changes)]))
  /** The module with the one place where `from` stands made `to`. */
  const changed = (name: string, from: readonly number[], to: readonly number[]): Uint8Array => {
    const bytes = Uint8Array.from(modules.get(name)!)
    const places = [...bytes.keys()].filter((at) => from.every((byte, index) => bytes[at + index] === byte))
    assert.equal(places.length, 1, `${from} stands at ${places}`)
    bytes.set(to, places[0])
    return bytes
  }
  /** The variable that the main module gets for the import. */
  const given = (text: string, name: string) =>
    new RegExp(`'${name.replaceAll(/[[\].]/g, '\\$&')}': \\(?(\\w+)`).exec(text)?.[1]

  test('is left out, and the main module given what it would have called', () => {
    const bypassed = without({})
    assert.ok(bypassed)
    assert.deepEqual([...bypassed.modules.keys()], ['component.core.wasm'])
    assert.doesNotMatch(bypassed.source, /exports0[.[]|exports2[.[]|module1|module2/)
    const called = source.replace('memory0 = exports1', "exports0['0'](); memory0 = exports1")
    assert.match(without({}, called)!.source, /trampoline\d+\(\); memory0 = exports1/)
    assert.equal((bypassed.source.match(/instantiateCore\(module/g) ?? []).length, 1)
  })

  test('is followed by what its filler does, not by the numbers in names', () => {
    // Two places of the table filled the other way round.
    const filler = changed(
      fillerName,
      [0x0b, modules.get(fillerName)!.at(slotCount(modules.get(fillerName)!))!, 0, 1],
      [0x0b, modules.get(fillerName)!.at(slotCount(modules.get(fillerName)!))!, 1, 0],
    )
    const plain = without({})!.source
    const swapped = without({ [fillerName]: filler })!.source
    const [first, second] = ['0', '1'].map(
      (slot) => new RegExp(`'([^']+)': \\(exports0\\['${slot}'\\]\\)`).exec(source)![1]!,
    )
    assert.equal(given(swapped, first!), given(plain, second!))
    assert.equal(given(swapped, second!), given(plain, first!))
  })

  test('stays when it, its filler or the glue is not what it is taken for', () => {
    const places: [what: string, bypassed: unknown][] = [
      [
        'a function that calls another place',
        without({ [shimName]: changed(shimName, [0x41, 0, 0x11], [0x41, 0x7f, 0x11]) }),
      ],
      ['a function that does not call', without({ [shimName]: changed(shimName, [0x41, 0, 0x11], [0x41, 0, 0x1a]) })],
      [
        'a filler that begins at another place',
        without({ [fillerName]: changed(fillerName, [0x41, 0, 0x0b], [0x41, 1, 0x0b]) }),
      ],
      ['a shim cut off', without({ [shimName]: modules.get(shimName)!.subarray(0, -20) })],
      ['no shim', bypassShim(source, new Map([...modules].filter(([name]) => name !== shimName)))],
      ['another use of itself', without({}, source.replace('memory0 = exports1', 'log(exports0); memory0 = exports1'))],
      [
        'another use of its filler',
        without({}, source.replace('memory0 = exports1', 'log(exports2); memory0 = exports1')),
      ],
      [
        'a module used twice',
        without({}, source.replace('memory0 = exports1', 'instantiateCore(module1); memory0 = exports1')),
      ],
      [
        'a function that comes from another module',
        without({}, source.replace(/'0': \(trampoline\d+\)/, "'0': (exports1['f'])")),
      ],
    ]
    for (const [what, bypassed] of places) {
      assert.equal(bypassed, undefined, what)
    }
  })
})

/** Where, from its start, the filler's element segment says how many places it fills. */
function slotCount(filler: Uint8Array): number {
  const at = [...filler.keys()].find((at) => filler[at] === 0x41 && filler[at + 1] === 0 && filler[at + 2] === 0x0b)
  assert.ok(at !== undefined)
  return at + 3
}
