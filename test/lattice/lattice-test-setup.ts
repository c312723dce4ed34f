import { systemClock } from '../../src/clock/clock.ts'
import { type ConnectLatticeOptions, connectLattice } from '../../src/lattice/connect-lattice.ts'
import type { Lattice } from '../../src/lattice/lattice.ts'
import type { ObjectBucket } from '../../src/lattice/object-bucket.ts'
import { createLog, type Log } from '../../src/observability/log.ts'
import { startLog } from '../support/log.ts'

export type Event = { readonly event: string; readonly [key: string]: unknown }

/** A logger whose events a test can read. */
export function testLog(name: string): { log: Log; events: () => Event[]; text: () => string } {
  const kept = startLog(name)
  const log = createLog({ level: 'debug', destination: { write: (line) => kept.append(line) } })
  const events = () =>
    kept
      .text()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event)
  return { log, events, text: () => kept.text() }
}

export function testLattice(
  url: string,
  options: Partial<ConnectLatticeOptions> = {},
): Lattice & { events: () => Event[] } {
  const { log, events } = testLog('lattice')
  const lattice = connectLattice({ servers: [url], name: 'test', log, clock: systemClock, ...options })
  // The state is a getter: it must stay one.
  return Object.defineProperty(lattice, 'events', { value: events }) as Lattice & { events: () => Event[] }
}

/** Asks until it is true. @throws after `limitMs` with `what` */
export async function until(what: string, isTrue: () => boolean, limitMs = 10_000): Promise<void> {
  const endMs = Date.now() + limitMs
  while (!isTrue()) {
    if (Date.now() > endMs) throw new Error(`waited ${limitMs} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const within = (ms: number) => ({ signal: AbortSignal.timeout(ms) })

/** One piece of bytes, and then the end. */
export function onceOf(bytes: Uint8Array): () => Promise<Uint8Array | undefined> {
  const pieces = [bytes]
  return async () => pieces.pop()
}

/** All of an object. */
export async function bytesOf(bucket: ObjectBucket, name: string): Promise<Buffer | undefined> {
  const object = await bucket.read(name)
  if (object === undefined) return undefined
  const pieces: Uint8Array[] = []
  for (let piece = await object.next(); piece !== undefined; piece = await object.next()) pieces.push(piece)
  return Buffer.concat(pieces)
}
