import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { MemoryShelf } from '../../src/engine/memory-shelf.ts'
import type { Ingress } from '../../src/ingress/ingress.ts'
import { cellSpec, component, serve, signal, testEngine } from './engine-fixture.ts'
import { guestInC } from './guests/build-guest.ts'

const spec = { initial: 2, maximum: 8 }
const bytesOf = ({ memory }: { memory: WebAssembly.Memory }) => new Uint8Array(memory.buffer)

test('a memory that is handed on is the same one, all zero', () => {
  const shelf = new MemoryShelf()
  const first = shelf.take(spec)
  bytesOf(first).fill(0xab)
  shelf.give(first)
  const second = shelf.take(spec)
  assert.equal(second.memory, first.memory)
  assert.ok(bytesOf(second).every((byte) => byte === 0))
})

test('a memory is in one hand at a time', () => {
  const shelf = new MemoryShelf()
  const [first, second] = [shelf.take(spec), shelf.take(spec)]
  assert.notEqual(first.memory, second.memory)
  shelf.give(first)
  assert.equal(shelf.take(spec).memory, first.memory)
  assert.notEqual(shelf.take(spec).memory, first.memory)
})

test('a memory that has grown is not handed on, nor one of another size or bound', () => {
  const shelf = new MemoryShelf()
  const grown = shelf.take(spec)
  grown.memory.grow(1)
  shelf.give(grown)
  assert.notEqual(shelf.take(spec).memory, grown.memory)
  const small = shelf.take(spec)
  shelf.give(small)
  assert.notEqual(shelf.take({ initial: 2, maximum: 9 }).memory, small.memory)
  assert.notEqual(shelf.take({ initial: 3, maximum: 8 }).memory, small.memory)
})

describe('a guest with an instance per call, which marks all of its memory', () => {
  let engine: Engine
  let ingress: Ingress & { url: string }
  const ask = async (path = '/') => (await fetch(ingress.url + path)).text()

  before(async () => {
    engine = testEngine()
    const bytes = await guestInC(join(import.meta.dirname, 'guests'), 'memory-probe')
    const cell = await engine.startCell(cellSpec(component(bytes, { poolSize: 0 })), { signal: signal() })
    ingress = await serve(cell)
  })
  after(async () => {
    await ingress.close()
    await engine[Symbol.asyncDispose]()
  })

  const untouched = /^calls=1 dirty=0 pages=(\d+) looked=1$/

  test('finds nothing of the calls before, one after the other', async () => {
    for (let call = 0; call < 30; call++) assert.match(await ask(), untouched)
  })

  test('finds nothing of the others, many at a time', async () => {
    const answers = await Promise.all(Array.from({ length: 64 }, () => ask()))
    for (const answer of answers) assert.match(answer, untouched)
  })

  test('finds nothing of a call that trapped, and has no memory that one has grown', async () => {
    const pages = untouched.exec(await ask())?.[1]
    for (let round = 0; round < 5; round++) {
      assert.match(await ask('/trap'), /ERR_COMPONENT/)
      assert.match(await ask('/grow'), new RegExp(`pages=${Number(pages) + 1} `))
      assert.equal(untouched.exec(await ask())?.[1], pages)
    }
  })
})

test('the same guest in a pool does find what it left: the marks are there to be found', async () => {
  await using engine = testEngine()
  const bytes = await guestInC(join(import.meta.dirname, 'guests'), 'memory-probe')
  const cell = await engine.startCell(cellSpec(component(bytes, { poolSize: 1 })), { signal: signal() })
  const ingress = await serve(cell)
  await (await fetch(ingress.url)).text()
  const second = await (await fetch(ingress.url)).text()
  await ingress.close()
  assert.match(second, /^calls=2 dirty=[1-9]/)
})
