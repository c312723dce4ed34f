import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { chooseHosts } from './choose-hosts.ts'
import { copyReplicas } from './deploy-workload.ts'
import { countByHost, originOf, placementOf, refuseSilence, replicasOf, withoutStopping } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import type { HostDrainOptions } from './host-drain-command.ts'
import { type FleetWorkload, findHost, nameOf } from './lattice-client.ts'
import { withLattice } from './lattice-command.ts'
import { printResult } from './output.ts'
import { progressTo } from './run-deploy.ts'

export async function runHostDrain(
  name: string,
  options: HostDrainOptions,
  environment: CliEnvironment,
): Promise<void> {
  const onProgress = progressTo(options.output, environment)
  await withLattice(options, environment, async (client, { signal }) => {
    const fleet = await client.fleet({ quietMs: 500 })
    refuseSilence(fleet)
    const host = findHost(fleet.hosts, name)
    const here = fleet.workloads.filter((workload) => workload.host === host)
    const own = here.filter((workload) => originOf(workload) === 'deploy' && /_RUNNING$/.test(workload.state))
    const exclude = new Set<string>([host.id])
    // All places are found before anything moves.
    const moves: { workload: FleetWorkload; to: ReturnType<typeof chooseHosts> }[] = []
    const homeless: { workload: FleetWorkload; error: HeraldError }[] = []
    for (const workload of own) {
      try {
        const others = withoutStopping(replicasOf(fleet, workload)).filter((replica) => replica.host !== host)
        const counts = new Map(countByHost(others))
        for (const { to } of moves.filter((move) => move.workload.name === workload.name))
          for (const { id } of to) counts.set(id, (counts.get(id) ?? 0) + 1)
        moves.push({ workload, to: chooseHosts(fleet, placementOf(workload), { count: 1, own: counts, exclude }) })
      } catch (error) {
        if (!isHeraldError(error, 'ERR_DEPLOY_NO_HOST')) throw error
        homeless.push({ workload, error })
      }
    }
    const [first] = homeless
    if (first !== undefined && options.force !== true) {
      throw new HeraldError(
        'ERR_DEPLOY_NO_HOST',
        `${first.workload.namespace}/${first.workload.name} has nowhere to go: ${first.error.message}`,
        { hint: `${first.error.hint ?? ''}; or let it end with its host: --force` },
      )
    }
    const moved = []
    for (const { workload, to } of moves) {
      await copyReplicas(client, workload, to, { waitUntilMs: undefined, onProgress, signal })
      moved.push({ workload: `${workload.namespace}/${workload.name}`, to: to.map(nameOf).join(', ') })
    }
    onProgress(`${nameOf(host)}: draining`)
    await client.drain(host)
    const untilMs = performance.now() + options.timeout
    let left = false
    while (!left && performance.now() < untilMs) {
      signal.throwIfAborted()
      left = !(await client.fleet()).hosts.some(({ id }) => id === host.id)
    }
    const ended = here
      .filter((workload) => !own.includes(workload) || homeless.some((each) => each.workload === workload))
      .map(({ namespace, name: each }) => `${namespace}/${each}`)
    printResult(environment, options.output, {
      value: { host: nameOf(host), hostId: host.id, left, moved, ended },
      text: () =>
        `${nameOf(host)} ${left ? 'has left' : 'is still draining'}; moved ${moved.length}, ended ${ended.length}${ended.length > 0 ? ` (${ended.join(', ')})` : ''}\n`,
    })
    if (!left) {
      throw new HeraldError('ERR_LATTICE_TIMEOUT', `${nameOf(host)} has not left within ${options.timeout / 1000} s`, {
        hint: 'requests in flight may take as long as its --drain-timeout',
      })
    }
  })
}
