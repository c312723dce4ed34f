import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parse } from '@bytecodealliance/jco'
import { type CoreFunction, GuestEntry } from '../../src/engine/guest-entry.ts'

const Suspending = (WebAssembly as unknown as { Suspending: new (fn: CoreFunction) => CoreFunction }).Suspending

describe('the entry of a guest', () => {
  let module: WebAssembly.Module
  before(async () => {
    const bytes = await parse(`(module
      (import "host" "begin" (func $begin (param i32 i32)))
      (import "host" "wait" (func $wait (param i32)))
      (import "host" "end" (func $end (param i32 i32)))
      (func (export "handle") (param i32 i32)
        (call $begin (local.get 0) (local.get 1))
        (call $wait (local.get 0))
        (call $end (local.get 0) (local.get 1)))
      (func (export "sum") (param i32 i32) (result i32)
        (call $wait (local.get 0))
        (i32.add (local.get 0) (local.get 1)))
      (func (export "one") (param i32)
        (call $wait (local.get 0)))
      (func (export "seven") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
        (call $wait (local.get 0))
        (i32.sub (i32.mul (local.get 1) (local.get 6)) (local.get 5)))
      (func (export "long") (param i32 i64) (result i64)
        (call $wait (local.get 0))
        (local.get 1))
      (func (export "none") (result i32) (i32.const -5))
      (func (export "trap") (param i32 i32)
        (call $wait (local.get 0))
        (if (local.get 1) (then unreachable))))`)
    module = await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>)
  })

  /** @param wait called by the guest with the first argument; suspends it when it returns a promise */
  const guest = (wait: (first: number) => unknown) => {
    const seen: string[] = []
    const instance = new WebAssembly.Instance(module, {
      host: {
        begin: (...args: number[]) => seen.push(`begin ${args}`),
        wait: new Suspending((first) => wait(first as number)),
        end: (...args: number[]) => seen.push(`end ${args}`),
      },
    })
    const entry = (name: string) => new GuestEntry(instance.exports[name] as CoreFunction)
    return { seen, entry, instance }
  }

  for (const [how, wait] of [
    ['goes through', () => undefined],
    ['waits for a microtask', () => Promise.resolve()],
    ['waits for the event loop', () => new Promise((resolve) => setImmediate(resolve))],
  ] as const) {
    test(`gives each call its arguments, and ends with it, when the guest ${how}`, async () => {
      const { seen, entry } = guest(wait)
      const handle = entry('handle')
      for (let call = 0; call < 5; call++) {
        const called = handle.function(call, -call)
        await called
        assert.deepEqual(seen.splice(0), [`begin ${call},${-call}`, `end ${call},${-call}`])
      }
      handle.close()
    })
  }

  test('keeps several functions of one guest apart', async () => {
    const { seen, entry } = guest(() => Promise.resolve())
    const [one, other] = [entry('handle'), entry('handle')]
    for (let call = 0; call < 4; call++) await (call % 2 ? one : other).function(call, 7)
    assert.deepEqual(
      seen,
      [0, 1, 2, 3].flatMap((call) => [`begin ${call},7`, `end ${call},7`]),
    )
    one.close()
    other.close()
  })

  test('enters functions of any other type too', async () => {
    const { entry } = guest(() => Promise.resolve())
    const [sum, one, seven, long, none] = ['sum', 'one', 'seven', 'long', 'none'].map(entry) as GuestEntry[]
    for (let call = -2; call < 4; call++) {
      assert.equal(await sum!.function(call, 10), call + 10)
      assert.equal(await one!.function(call), undefined)
      assert.equal(await seven!.function(call, 3, 0, 0, 0, call, 11), 33 - call)
      assert.equal(await long!.function(call, (2n ** 40n) as unknown as number), 2n ** 40n)
      assert.equal(await none!.function(), -5)
    }
  })

  for (const good of [0, 1, 2, 5]) {
    test(`passes on what the guest throws after ${good} calls that went well, and ends with it`, async () => {
      const { entry } = guest(() => Promise.resolve())
      const trap = entry('trap')
      for (let call = 0; call < good; call++) await trap.function(call, 0)
      await assert.rejects(async () => trap.function(9, 1), WebAssembly.RuntimeError)
      trap.close()
    })
    test(`passes on what an import throws after ${good} calls that went well`, async () => {
      const { entry } = guest((first) => (first === 9 ? Promise.reject(new Error('no more')) : undefined))
      const handle = entry('handle')
      for (let call = 0; call < good; call++) await handle.function(call, 0)
      await assert.rejects(async () => handle.function(9, 0), /no more/)
    })
  }

  test('lets go of a guest once it is closed', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const made = async () => {
      const { entry, instance } = guest(() => Promise.resolve())
      const handle = entry('handle')
      for (let call = 0; call < 3; call++) await handle.function(call, 0)
      handle.close()
      return new WeakRef(instance)
    }
    const instance = await made()
    for (const until = performance.now() + 10_000; instance.deref() !== undefined; ) {
      assert.ok(performance.now() < until, 'it is still held')
      await new Promise((resolve) => setTimeout(resolve, 10))
      collect()
    }
  })
})
