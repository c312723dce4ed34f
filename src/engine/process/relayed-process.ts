import type { ChildProcess } from 'node:child_process'
import { getCACertificates } from 'node:tls'
import type { MessagePort } from 'node:worker_threads'
import type { CellInit, ToCellMain } from '../cell-protocol.ts'
import { Vitals } from '../vitals.ts'
import { checkCellMessage } from './check-cell-message.ts'
import { FrameStream } from './frame-stream.ts'
import { LaneGuard } from './lane-guard.ts'
import { MirroredMemories } from './mirrored-memories.ts'
import type { FromProcess, FromRelayedProcess, ProcessGrants, ToProcess, ToRelayedProcess } from './process-protocol.ts'
import { takeMemories } from './shared-places.ts'
import { spawnCell } from './spawn-cell.ts'

/** Longest message of a process, bytes: more than any request or answer of a capability. */
const maxFrameBytes = 64 * 1024 * 1024
/** How often counters are compared while the cell has work, ms; while it has none, before each message. */
const mirrorMs = 5
/** The process's main thread runs no guest: one that says nothing for so long is stopped or stuck. */
const silenceMs = 10_000
const pingMs = 2_000

type OpenLane = { readonly port: MessagePort; readonly guard: LaneGuard }

/** One cell's process, as the relay thread has it: carries messages between its pipe and ports, and ends it. */
export class RelayedProcess {
  readonly #control: MessagePort
  readonly #child: ChildProcess
  readonly #frames: FrameStream
  readonly #memories = new MirroredMemories()
  readonly #lanes = new Map<number, OpenLane>()
  #nextLane = 0
  #vitals: Vitals | undefined
  #mirror: NodeJS.Timeout | undefined
  #pinger: NodeJS.Timeout | undefined
  #heardMs = 0
  #reason: string | undefined
  #killed = false

  constructor(control: MessagePort, grants: ProcessGrants) {
    this.#control = control
    const { child, frames } = spawnCell(grants)
    this.#child = child
    if (child.pid !== undefined) this.#tell({ kind: 'started', pid: child.pid })
    this.#frames = new FrameStream(frames, {
      maxFrameBytes,
      onFrame: (frame, buffer) => this.#receive(frame as FromProcess, buffer),
      onEnd: (reason) => {
        this.#reason ??= reason
        // Its pipe is gone, and so is all it could be good for.
        child.kill('SIGKILL')
      },
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => this.#tell({ kind: 'stray', text: chunk.toString().slice(0, 1_000) }))
    }
    child.on('error', (error) => this.#exited(`its process could not be started: ${error.message}`))
    child.on('close', (code, signal) =>
      this.#exited(this.#reason ?? (this.#killed ? undefined : howItEnded(code, signal))),
    )
    // What the operator had this host trust (`NODE_EXTRA_CA_CERTS`); the process has no environment to find it in.
    this.#frames.send(['start', grants.network ? getCACertificates('extra') : []] satisfies ToProcess)
    control.on('message', (message: ToRelayedProcess) => {
      if (message.kind === 'kill') this.#kill()
      else this.#post(message.message)
    })
    control.on('close', () => {
      this.#kill()
      for (const { port } of this.#lanes.values()) port.close()
    })
  }

  #post(message: ToCellMain): void {
    if (message.kind === 'init') this.#init(message.cell)
    else if (message.kind === 'lane') this.#openLane(message.component, message.port)
    else this.#send(['message', message])
  }

  #init(cell: CellInit): void {
    const { value, memories, places } = takeMemories(cell)
    for (const memory of memories) this.#memories.add(memory)
    this.#vitals = new Vitals(cell.vitals)
    this.#send(['init', value, this.#memories.contents(), places])
    this.#heardMs = performance.now()
    this.#pinger = setInterval(() => this.#ping(), pingMs)
  }

  #openLane(component: string, port: MessagePort): void {
    const lane = this.#nextLane++
    const guard = new LaneGuard()
    this.#lanes.set(lane, { port, guard })
    port.on('message', (batch) => {
      guard.sent(batch)
      this.#send(['batch', lane, batch])
    })
    port.on('close', () => {
      this.#lanes.delete(lane)
      this.#send(['close', lane])
    })
    this.#send(['lane', lane, component])
  }

  /** What was added to counters before comes before: the guest is to see it at its next call. */
  #send(frame: ToProcess): void {
    this.#exchange()
    this.#frames.send(frame)
  }

  #exchange(): void {
    const added = this.#memories.collect()
    if (added !== undefined) this.#frames.send(['added', added] satisfies ToProcess)
  }

  #mirrorWhileBusy(): void {
    if (this.#vitals?.get('ticking') === 0) return
    this.#mirror ??= setInterval(() => {
      this.#exchange()
      if (this.#vitals?.get('ticking') === 1) return
      clearInterval(this.#mirror)
      this.#mirror = undefined
    }, mirrorMs)
  }

  #ping(): void {
    const silentMs = performance.now() - this.#heardMs
    if (silentMs > silenceMs) this.#break(`its process did not answer for ${Math.round(silentMs)} ms`)
    else this.#frames.send(['ping'] satisfies ToProcess)
  }

  #receive(frame: FromProcess, buffer: ArrayBuffer): void {
    this.#heardMs = performance.now()
    try {
      this.#take(frame, buffer)
    } catch {
      this.#break('its process sent what no cell sends')
    }
  }

  /** @throws when the frame is none that a cell sends */
  #take(frame: FromProcess, buffer: ArrayBuffer): void {
    if (!Array.isArray(frame)) throw new TypeError('no frame')
    switch (frame[0]) {
      case 'added':
        this.#memories.apply(frame[1])
        this.#mirrorWhileBusy()
        return
      case 'batch': {
        const lane = this.#lanes.get(frame[1])
        const batch = lane?.guard.received(frame[2]) ?? []
        // All its chunks lie in the frame's buffer.
        if (batch.length > 0) lane?.port.postMessage(batch, [buffer])
        return
      }
      case 'message': {
        const message = checkCellMessage(frame[1])
        this.#tell({ kind: 'message', message }, [buffer])
        return
      }
      case 'close':
        this.#lanes.get(frame[1])?.port.close()
        return
      case 'stray':
        this.#tell({ kind: 'stray', text: String(frame[1]).slice(0, 1_000) })
        return
      case 'ended':
        this.#reason ??= String(frame[1]).slice(0, 300)
        return
      case 'pong':
        return
      default:
        throw new TypeError('a frame of no known kind')
    }
  }

  #tell(said: FromRelayedProcess, transfer: ArrayBuffer[] = []): void {
    this.#control.postMessage(said, transfer)
  }

  #break(reason: string): void {
    this.#reason ??= reason
    this.#child.kill('SIGKILL')
  }

  #kill(): void {
    this.#killed = true
    this.#child.kill('SIGKILL')
  }

  #exited(reason: string | undefined): void {
    clearInterval(this.#mirror)
    clearInterval(this.#pinger)
    this.#tell({ kind: 'exited', reason })
  }
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === 'SIGKILL') return 'its process was killed (SIGKILL): by an operator, or because memory ran out'
  if (signal !== null) return `its process crashed (${signal})`
  return `its process ended with exit code ${code}`
}
