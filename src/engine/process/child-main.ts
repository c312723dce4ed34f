import { Socket } from 'node:net'
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import type { CellComponentInit, CellInit, FromCellMain } from '../cell-protocol.ts'
import { startCellWorker } from '../cell-worker.ts'
import type { ToIngress } from '../http-channel.ts'
import { Vitals } from '../vitals.ts'
import { workerUrl } from '../worker-url.ts'
import { FrameStream } from './frame-stream.ts'
import { MirroredMemories } from './mirrored-memories.ts'
import { type FromProcess, framesDescriptor, type ToProcess } from './process-protocol.ts'
import { putMemories, type SharedPlace } from './shared-places.ts'

/**
 * Entry of a cell's process. Its main thread runs no guest: it carries messages between the pipe and the cell's thread, tells of the counters also
 * while the guest does not yield, and ends the process at once when the host is gone.
 */
const busyMs = 5
const idleMs = 100

const frames = new FrameStream(new Socket({ fd: framesDescriptor, readable: true, writable: true }), {
  onFrame: (frame, buffer) => receive(frame as ToProcess, buffer),
  onEnd: () => process.kill(process.pid, 'SIGKILL'),
})
const send = (frame: FromProcess): void => frames.send(frame)
const memories = new MirroredMemories()
const lanes = new Map<number, MessagePort>()
let vitals: Vitals | undefined
/** Frames that came while modules are compiled. */
let waiting: (() => void)[] | undefined

let reason = 'its thread ended'
let worker: Worker

/** The guest's thread. */
function start(authorities: readonly string[]): void {
  worker = startCellWorker((text) => send(['stray', text]), {
    entry: workerUrl('guarded-cell', import.meta.url),
    inheritOptions: true,
    workerData: { authorities },
  })
  worker.on('message', (message: FromCellMain) => {
    exchange()
    send(['message', message])
  })
  worker.on('error', (error: Error & { code?: string }) => {
    reason = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'it ran out of memory' : `it failed: ${error.message}`
  })
  worker.on('exit', () => {
    send(['ended', reason])
    frames.close()
  })
}

function receive(frame: ToProcess, buffer: ArrayBuffer): void {
  if (frame[0] === 'ping') send(['pong'])
  else if (waiting !== undefined) waiting.push(() => take(frame, buffer))
  else take(frame, buffer)
}

function take(frame: ToProcess, buffer: ArrayBuffer): void {
  switch (frame[0]) {
    case 'start':
      start(frame[1])
      return
    case 'init':
      waiting = []
      void open(frame[1], frame[2], frame[3])
      return
    case 'added':
      memories.apply(frame[1])
      return
    case 'message':
      worker.postMessage(frame[1])
      mirrorSoon()
      return
    case 'lane':
      openLane(frame[1], frame[2])
      return
    case 'batch':
      lanes.get(frame[1])?.postMessage(frame[2], [buffer])
      mirrorSoon()
      return
    case 'close':
      lanes.get(frame[1])?.close()
      lanes.delete(frame[1])
  }
}

async function open(init: CellInit, contents: readonly Int32Array[], places: readonly SharedPlace[]): Promise<void> {
  const shared = contents.map((cells) => {
    const memory = new SharedArrayBuffer(cells.byteLength)
    new Int32Array(memory).set(cells)
    memories.add(memory)
    return memory
  })
  putMemories(init, places, shared)
  vitals = new Vitals(init.vitals)
  try {
    const cell = { ...init, components: await Promise.all(init.components.map(compile)) }
    worker.postMessage({ kind: 'init', cell })
    mirrorSoon()
  } catch (error) {
    const message = error instanceof Error ? error.message.slice(0, 300) : String(error)
    send(['message', { kind: 'failed', error: { code: 'ERR_COMPONENT_INVALID', message } }])
  }
  const held = waiting ?? []
  waiting = undefined
  for (const each of held) each()
}

async function compile({ cores, ...component }: CellComponentInit): Promise<CellComponentInit> {
  const modules = await Promise.all(
    [...(cores ?? [])].map(async ([name, bytes]) => [name, await WebAssembly.compile(bytes)] as const),
  )
  return { ...component, modules: new Map(modules) }
}

function openLane(lane: number, component: string): void {
  const { port1, port2 } = new MessageChannel()
  lanes.set(lane, port1)
  port1.on('message', (batch: ToIngress[]) => {
    exchange()
    send(['batch', lane, batch])
  })
  port1.on('close', () => {
    if (lanes.delete(lane)) send(['close', lane])
  })
  worker.postMessage({ kind: 'lane', component, port: port2 }, [port2])
}

function exchange(): void {
  const added = memories.collect()
  if (added !== undefined) send(['added', added])
}

let mirror: NodeJS.Timeout | undefined
let mirrorIsQuick = false

/** The cell may have work from now on, and its heart beats. */
function mirrorSoon(): void {
  if (mirrorIsQuick) return
  clearTimeout(mirror)
  mirrorIsQuick = true
  mirror = setTimeout(look, busyMs)
}

function look(): void {
  exchange()
  mirrorIsQuick = vitals?.get('ticking') === 1
  mirror = setTimeout(look, mirrorIsQuick ? busyMs : idleMs)
}
