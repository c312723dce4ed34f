import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { checkHouse } from './check-house.ts'

const src = join(import.meta.dirname, '..', '..', 'src')

test('imports in src go down only, packages stay in their rooms, and one file reads the environment', async () => {
  const entries = await readdir(src, { recursive: true, withFileTypes: true })
  const files = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name)
        return { path: relative(src, path).replaceAll('\\', '/'), text: await readFile(path, 'utf8') }
      }),
  )
  assert.ok(files.length > 20, 'the walk found the sources')
  assert.deepEqual(checkHouse(files), [])
})

/** A house with one fault; the rest of it is sound. */
const houseWith = (path: string, text: string) =>
  checkHouse([
    { path: 'errors/a.ts', text: 'export const a = 1' },
    { path: 'clock/b.ts', text: "export const b = 'process.env'" },
    { path: 'identity/c.ts', text: "import { a } from '../errors/a.ts'\nexport type C = typeof a" },
    { path: 'capabilities/capability.ts', text: 'export type Capability = object' },
    { path: 'capabilities/other.ts', text: 'export type Other = object' },
    { path: 'cli/environment.ts', text: 'export const env = process.env' },
    { path, text },
  ])

const faults: { title: string; path: string; text: string; fault: string | undefined }[] = [
  { title: 'an import downward', path: 'manifest/x.ts', text: "import { a } from '../errors/a.ts'", fault: undefined },
  {
    title: 'an import upward',
    path: 'manifest/x.ts',
    text: "\nimport '../identity/c.ts'",
    fault: 'manifest/x.ts:2: imports upward: manifest (floor 1) → identity (floor 2)',
  },
  {
    title: 'a type-only import upward',
    path: 'errors/x.ts',
    text: "import type { C } from '../identity/c.ts'",
    fault: 'errors/x.ts:1: imports upward: errors (floor 0) → identity (floor 2)',
  },
  {
    title: 'a re-exported type upward',
    path: 'errors/x.ts',
    text: "export type { C } from '../identity/c.ts'",
    fault: 'errors/x.ts:1: imports upward: errors (floor 0) → identity (floor 2)',
  },
  {
    title: 'an import inside a type',
    path: 'errors/x.ts',
    text: "export type X = import('../identity/c.ts').C",
    fault: 'errors/x.ts:1: imports upward: errors (floor 0) → identity (floor 2)',
  },
  {
    title: 'a dynamic import upward',
    path: 'errors/x.ts',
    text: "export const x = await import('../identity/c.ts')",
    fault: 'errors/x.ts:1: imports upward: errors (floor 0) → identity (floor 2)',
  },
  {
    title: 'a worker of a room above',
    path: 'errors/x.ts',
    text: "export const x = new URL('../identity/c.ts', import.meta.url)",
    fault: 'errors/x.ts:1: imports upward: errors (floor 0) → identity (floor 2)',
  },
  {
    title: 'an import sideways',
    path: 'clock/x.ts',
    text: "import { a } from '../errors/a.ts'",
    fault: 'clock/x.ts:1: imports sideways: clock → errors (both on floor 0)',
  },
  {
    title: 'an import of a foundation from its own floor',
    path: 'spiffe/x.ts',
    text: "import '../errors/a.ts'",
    fault: undefined,
  },
  {
    title: 'an import of a shared contract sideways',
    path: 'wasi/x.ts',
    text: "import type {} from '../capabilities/capability.ts'",
    fault: undefined,
  },
  {
    title: 'an import of anything else of that neighbour',
    path: 'wasi/x.ts',
    text: "import type {} from '../capabilities/other.ts'",
    fault: 'wasi/x.ts:1: imports sideways: wasi → capabilities (both on floor 3)',
  },
  {
    title: 'an import of a file that is not there',
    path: 'clock/x.ts',
    text: "import './no.ts'",
    fault: 'clock/x.ts:1: imports ./no.ts, which is not there',
  },
  {
    title: 'an import from outside src',
    path: 'clock/x.ts',
    text: "import '../../test/x.ts'",
    fault: 'clock/x.ts:1: imports ../../test/x.ts, which is outside src',
  },
  { title: 'grpc in its room', path: 'identity/spire/x.ts', text: "import '@grpc/grpc-js'", fault: undefined },
  {
    title: 'grpc outside identity/spire',
    path: 'identity/x.ts',
    text: "import '@grpc/grpc-js'",
    fault: 'identity/x.ts:1: imports the package @grpc/grpc-js, which only identity/spire may',
  },
  {
    title: 'a deep import of a foreign package',
    path: 'host/x.ts',
    text: "import type { X } from 'nats/lib/x.js'",
    fault: 'host/x.ts:1: imports the package nats, which only lattice may',
  },
  {
    title: 'a package of no room',
    path: 'host/x.ts',
    text: "import 'left-pad'",
    fault: 'host/x.ts:1: imports the package left-pad, which no room owns',
  },
  {
    title: 'a built-in module without node:',
    path: 'host/x.ts',
    text: "import 'fs'",
    fault: 'host/x.ts:1: imports the package fs, which no room owns',
  },
  {
    title: 'process.env',
    path: 'host/x.ts',
    text: 'export const x = process.env.HOME',
    fault: 'host/x.ts:1: reads process.env; only cli/environment.ts may',
  },
  {
    title: "process['argv']",
    path: 'cli/x.ts',
    text: "export const x = process['argv']",
    fault: 'cli/x.ts:1: reads process.argv; only cli/environment.ts may',
  },
  {
    title: 'globalThis.process.env',
    path: 'cli/x.ts',
    text: 'export const x = globalThis.process.env',
    fault: 'cli/x.ts:1: reads process.env; only cli/environment.ts may',
  },
  {
    title: 'env taken out of process',
    path: 'cli/x.ts',
    text: 'export const { env } = process',
    fault: 'cli/x.ts:1: reads process.env; only cli/environment.ts may',
  },
  {
    title: 'env imported from node:process',
    path: 'cli/x.ts',
    text: "import { env as e } from 'node:process'\nexport const x = e",
    fault: 'cli/x.ts:1: reads env of node:process; only cli/environment.ts may',
  },
  { title: 'a file in no room', path: 'x.ts', text: '', fault: 'x.ts: stands in no room of the house' },
  {
    title: 'a file in an unknown room',
    path: 'helpers/x.ts',
    text: '',
    fault: 'helpers/x.ts: stands in no room of the house',
  },
]
for (const { title, path, text, fault } of faults) {
  test(`the house ${fault === undefined ? 'allows' : 'refuses'} ${title}`, () =>
    assert.deepEqual(houseWith(path, text), fault === undefined ? [] : [fault]))
}
