import { arch, availableParallelism, cpus, freemem, loadavg, release, totalmem, type } from 'node:os'
import process from 'node:process'

/** What the operator weighs before it places a workload: above 80 % of CPU or memory it looks elsewhere. */
export type MachineFacts = {
  readonly osArch: string
  readonly osName: string
  readonly osKernel: string
  /** Percent of all cores, 0 to 100, since the last time it was asked. */
  readonly systemCpuUsage: number
  /** Bytes; of the container where one is set a limit. */
  readonly systemMemoryTotal: bigint
  readonly systemMemoryFree: bigint
}

/** Measures between calls; the first answer comes from the load average of the last minute. */
export function createMachineMeter(): () => MachineFacts {
  let before = readTimes()
  let usage = Math.min(100, ((loadavg()[0] ?? 0) / availableParallelism()) * 100)
  return () => {
    const now = readTimes()
    const elapsed = now.total - before.total
    // Below a tenth of a second the kernel's ticks say nothing.
    if (elapsed >= 100 * Math.max(1, now.cores)) {
      usage = Math.min(100, Math.max(0, (1 - (now.idle - before.idle) / elapsed) * 100))
      before = now
    }
    const limit = process.constrainedMemory()
    const total = limit > 0 && limit < totalmem() ? limit : totalmem()
    const free = Math.min(
      total,
      total === totalmem() ? Math.max(freemem(), process.availableMemory()) : process.availableMemory(),
    )
    return {
      osArch: archNames[arch()] ?? arch(),
      osName: type().toLowerCase(),
      osKernel: release(),
      systemCpuUsage: Math.round(usage * 100) / 100,
      systemMemoryTotal: BigInt(Math.round(total)),
      systemMemoryFree: BigInt(Math.round(free)),
    }
  }
}

/** As upstream's hosts spell them. */
const archNames: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'x86' }

function readTimes(): { total: number; idle: number; cores: number } {
  const all = cpus()
  let total = 0
  let idle = 0
  for (const { times } of all) {
    total += times.user + times.nice + times.sys + times.idle + times.irq
    idle += times.idle
  }
  return { total, idle, cores: all.length }
}
