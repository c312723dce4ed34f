import type { ControlledHost, WorkloadReport, WorkloadStart } from '../../src/control/controlled-host.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'

/**
 * A stand-in for the host: it runs nothing and does what the workload's name says. `slow-<ms>` takes that long to start, `fail` fails, `hang`
 * does not even heed its signal, `stubborn-<ms>` takes that long to stop. The real host is tested in `real-host.test.ts`.
 */
export interface HostStandIn extends ControlledHost {
  /** Every call, in order: `start a`, `stop a`. */
  readonly calls: readonly string[]
  readonly starts: readonly WorkloadStart[]
}

export function createHostStandIn(): HostStandIn {
  const workloads = new Map<string, { report: WorkloadReport; components: number; name: string }>()
  const calls: string[] = []
  const starts: WorkloadStart[] = []
  return {
    calls,
    starts,
    async start(request, { signal }) {
      const { workloadId, workload } = request
      calls.push(`start ${workloadId}`)
      starts.push(request)
      const entry = {
        report: { state: 'starting', message: '' } as WorkloadReport,
        components: workload.components.length,
        name: workload.name,
      }
      workloads.set(workloadId, entry)
      if (workload.name === 'fail') {
        workloads.delete(workloadId)
        throw new HeraldError(
          'ERR_OCI_NOT_FOUND',
          'registry.example/team/hello:1: the registry has no such artifact (404)',
          { hint: 'check the spelling' },
        )
      }
      if (workload.name === 'defect') throw new TypeError('cannot read secret-value of undefined')
      await pause(delayOf('slow', workload.name), workload.name === 'hang' ? undefined : signal)
      if (workload.name === 'hang') await pause(1_500)
      if (workloads.get(workloadId) === entry) entry.report = { state: 'running', message: '' }
    },
    status: (workloadId) => workloads.get(workloadId)?.report,
    async stop(workloadId) {
      calls.push(`stop ${workloadId}`)
      const entry = workloads.get(workloadId)
      if (entry === undefined) return
      entry.report = { state: 'stopping', message: '' }
      await pause(delayOf('stubborn', entry.name))
      workloads.delete(workloadId)
    },
    summary: () => ({
      workloadCount: workloads.size,
      componentCount: [...workloads.values()].reduce((sum, { components }) => sum + components, 0),
      imports: ['wasi:http/outgoing-handler@0.2.3', 'wasi:http/types@0.2.3', 'wasmcloud:identity/store@0.0.1'],
      exports: ['wasi:http/incoming-handler@0.2.3'],
      httpPort: 8000,
    }),
  }
}

function delayOf(kind: string, name: string): number {
  return Number(new RegExp(`^${kind}-(\\d+)`).exec(name)?.[1] ?? 0)
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  signal?.addEventListener('abort', () => {
    clearTimeout(timer)
    reject(signal.reason)
  })
  return promise
}
