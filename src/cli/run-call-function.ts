import { HeraldError } from '../errors/herald-error.ts'
import { findWorkload, parseWorkloadName, withoutStopping } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import type { FunctionName } from './function-name.ts'
import { withLattice } from './lattice-command.ts'
import type { CallOptions } from './logs-command.ts'

/** Calls a function on one host that runs the workload, and prints what it gives as JSON. */
export async function runCallFunction(
  target: string,
  called: FunctionName,
  args: readonly string[],
  options: CallOptions,
  environment: CliEnvironment,
): Promise<void> {
  const wanted = parseWorkloadName(target)
  await withLattice(options, environment, async (client) => {
    const running = withoutStopping(findWorkload(await client.fleet(), wanted)).filter(
      ({ state }) => state === 'WORKLOAD_STATE_RUNNING',
    )
    const one = running[Math.floor(Math.random() * running.length)]
    if (one === undefined) {
      throw new HeraldError('ERR_WORKLOAD_NOT_FOUND', `${target} runs nowhere`, {
        hint: `see: herald describe workload ${target}`,
      })
    }
    const { json, isErr } = await client.call(one.host, {
      workloadId: one.workloadId,
      ...called,
      args: [...args],
      timeoutMs: options.timeout ?? 30_000,
    })
    if (isErr) throw new HeraldError('ERR_CALL_RETURNED_ERR', `${called.function} returned the err ${json}`)
    environment.stdout.write(`${json}\n`)
  })
}
