import type { CpuShare } from './cpu-share.ts'
import type { Vitals } from './vitals.ts'

/** How often a working cell shows that its event loop turns, and looks at its deadlines, ms. */
export const pulseMs = 25
/** Quiet pulses after which an idle cell stops its timer. */
const quietPulses = 40

/** A cell's heartbeat while it has work. The engine ends a cell whose `ticking` is set and whose `beat` stands still. */
export class Pulse {
  readonly #vitals: Vitals
  readonly #onBeat: (nowMs: number) => boolean
  #timer: NodeJS.Timeout | undefined
  #quiet = 0
  #cpuMs = 0
  #share: CpuShare | undefined

  /** @param onBeat called with each beat; says whether there is work */
  constructor(vitals: Vitals, onBeat: (nowMs: number) => boolean) {
    this.#vitals = vitals
    this.#onBeat = onBeat
  }

  /** From now on the cell's thread sleeps while it is behind; what it took to start is not counted. */
  holdTo(share: CpuShare): void {
    this.measure(performance.now())
    this.#share = share
    this.start()
  }

  /** To be called before a guest is entered. */
  start(): void {
    this.#quiet = 0
    if (this.#timer !== undefined) return
    this.#vitals.set('ticking', 1)
    this.#timer = setInterval(() => this.#beat(), pulseMs)
  }

  /** Notes the processor time that this thread has used since the last time. */
  measure(nowMs: number): void {
    const { user, system } = process.threadCpuUsage()
    const cpuMs = Math.floor((user + system) / 1000)
    const usedMs = cpuMs - this.#cpuMs
    this.#cpuMs = cpuMs
    this.#vitals.add('cpuMs', usedMs)
    this.#share?.spend(usedMs, nowMs)
  }

  #beat(): void {
    this.#vitals.add('beat', 1)
    const nowMs = performance.now()
    this.measure(nowMs)
    if (this.#onBeat(nowMs)) this.#quiet = 0
    else if (++this.#quiet >= quietPulses && this.#share?.settled !== false) {
      clearInterval(this.#timer)
      this.#timer = undefined
      this.#vitals.set('ticking', 0)
    }
    this.#share?.nap()
  }
}
