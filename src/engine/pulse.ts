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

  /** @param onBeat called with each beat; says whether there is work */
  constructor(vitals: Vitals, onBeat: (nowMs: number) => boolean) {
    this.#vitals = vitals
    this.#onBeat = onBeat
  }

  /** To be called before a guest is entered. */
  start(): void {
    this.#quiet = 0
    if (this.#timer !== undefined) return
    this.#vitals.set('ticking', 1)
    this.#timer = setInterval(() => this.#beat(), pulseMs)
  }

  #beat(): void {
    this.#vitals.add('beat', 1)
    const { user, system } = process.threadCpuUsage()
    const cpuMs = Math.floor((user + system) / 1000)
    this.#vitals.add('cpuMs', cpuMs - this.#cpuMs)
    this.#cpuMs = cpuMs
    if (this.#onBeat(performance.now())) this.#quiet = 0
    else if (++this.#quiet >= quietPulses) {
      clearInterval(this.#timer)
      this.#timer = undefined
      this.#vitals.set('ticking', 0)
    }
  }
}
