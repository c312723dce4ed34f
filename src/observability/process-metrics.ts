import { getHeapSpaceStatistics } from 'node:v8'
import { createEventLoopMeter, type EventLoopReading } from './event-loop-meter.ts'
import type { MetricPoint, MetricSource } from './metrics.ts'

/** Memory, processor time and age of this process, and the event loop of the thread that calls it. */
export function createProcessMetrics(thread: string): Disposable & { source: MetricSource } {
  const meter = createEventLoopMeter()
  return {
    source: () => {
      const cpu = process.cpuUsage()
      return [
        ...eventLoopPoints(thread, meter.read()),
        { name: 'process.memory.usage', value: process.memoryUsage.rss() },
        { name: 'process.cpu.time', value: cpu.user / 1e6, attributes: { 'cpu.mode': 'user' } },
        { name: 'process.cpu.time', value: cpu.system / 1e6, attributes: { 'cpu.mode': 'system' } },
        { name: 'process.uptime', value: process.uptime() },
        ...getHeapSpaceStatistics().map(
          ({ space_name, space_used_size }): MetricPoint => ({
            name: 'v8js.memory.heap.used',
            value: space_used_size,
            attributes: { 'v8js.heap.space.name': space_name },
          }),
        ),
      ]
    },
    [Symbol.dispose]: () => meter[Symbol.dispose](),
  }
}

export function eventLoopPoints(thread: string, reading: EventLoopReading): MetricPoint[] {
  const attributes = { 'herald.thread': thread }
  return [
    { name: 'nodejs.eventloop.delay.p50', value: reading.delayP50S, attributes },
    { name: 'nodejs.eventloop.delay.p99', value: reading.delayP99S, attributes },
    { name: 'nodejs.eventloop.delay.max', value: reading.delayMaxS, attributes },
    { name: 'nodejs.eventloop.utilization', value: reading.utilization, attributes },
  ]
}
