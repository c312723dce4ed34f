import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** How an event loop did since it was last asked. Delays in seconds. */
export type EventLoopReading = {
  readonly delayP50S: number
  readonly delayP99S: number
  readonly delayMaxS: number
  /** 0 to 1. */
  readonly utilization: number
}

const resolutionMs = 10

/** Measures the event loop of the thread that calls it. */
export function createEventLoopMeter(): Disposable & { read(): EventLoopReading } {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  let last: EventLoopUtilization = performance.eventLoopUtilization()
  return {
    read() {
      const present = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(present, last)
      last = present
      // The histogram holds the pauses between its own ticks: what is beyond their interval is delay. Nothing yet is no delay.
      const secondsOf = (nanoseconds: number): number =>
        delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3)
      const reading = {
        delayP50S: secondsOf(delay.percentile(50)),
        delayP99S: secondsOf(delay.percentile(99)),
        delayMaxS: secondsOf(delay.max),
        utilization,
      }
      delay.reset()
      return reading
    },
    [Symbol.dispose]: () => void delay.disable(),
  }
}
