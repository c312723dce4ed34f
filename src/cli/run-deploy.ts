import { workloadToWire } from '../control/workload-to-wire.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { loadManifest } from '../manifest/load-manifest.ts'
import { createLog } from '../observability/log.ts'
import { chooseHosts } from './choose-hosts.ts'
import type { DeleteOptions, DeployCommandOptions, ScaleOptions } from './deploy-command.ts'
import { copyReplicas, type DeployResult, deployWorkload, shortState, stopAll } from './deploy-workload.ts'
import {
  annotationsFor,
  countByHost,
  findWorkload,
  ownReplicas,
  parseWorkloadName,
  placementOf,
  refuseSilence,
  type replicasOf,
  specHash,
  type WorkloadName,
} from './deployed-workloads.ts'
import { type CliEnvironment, readRegistryEnvironment } from './environment.ts'
import { nameOf } from './lattice-client.ts'
import { withLattice } from './lattice-command.ts'
import { type OutputFormat, printResult, styleFor, toneOf } from './output.ts'
import { openRegistryImages } from './registry-images.ts'
import { table } from './table.ts'
import { makeTravel } from './travelling-images.ts'
import { pullSecretsOf } from './workload-pull-secrets.ts'

export async function runDeploy(options: DeployCommandOptions, environment: CliEnvironment): Promise<void> {
  const manifests = await Promise.all(options.file.map((file) => loadManifest(file, environment)))
  const onProgress = progressTo(options.output, environment)
  // That one is for hosts: here it has its effect.
  for (const { message, where } of manifests.flatMap(({ warnings }) => warnings))
    if (where.key !== 'spec.deployPolicy') onProgress(`${where.file}:${where.line ?? ''}: ${message}`)
  await withLattice(options, environment, async (client, { signal }) => {
    const waitUntilMs = options.wait ? performance.now() + options.timeout : undefined
    const push =
      options.push === undefined
        ? undefined
        : {
            repository: options.push,
            client: (
              await openRegistryImages(options, readRegistryEnvironment(), {
                log: createLog({ level: 'silent' }),
                signal,
              })
            ).client,
          }
    const results: DeployResult[] = []
    for (const declared of manifests.flatMap(({ workloads }) => workloads)) {
      const { workload, fileDigests } = await makeTravel(declared, () => client.fleet({ quietMs: 500 }), {
        push,
        onProgress,
        signal,
      })
      const { namespace, name, replicas, deployPolicy, hostSelector, environment: wanted, hostId } = workload
      const credentials = await pullSecretsOf(workload, options, { cwd: environment.cwd, signal, warn: onProgress })
      const placement = { hostSelector, environment: wanted, hostId }
      const annotations = annotationsFor(specHash(workloadToWire(workload), placement, fileDigests), workload)
      const wire = workloadToWire(workload, annotations, credentials)
      const request = { namespace, name, replicas, placement, wire, recreate: deployPolicy === 'Recreate' }
      results.push(await deployWorkload(client, request, { waitUntilMs, onProgress, signal }))
    }
    printDeployed(results, options.output, environment)
  })
}

export async function runDelete(
  names: readonly string[],
  options: DeleteOptions,
  environment: CliEnvironment,
): Promise<void> {
  const manifests = await Promise.all((options.file ?? []).map((file) => loadManifest(file, environment)))
  const wanted: WorkloadName[] = [
    ...names.map(parseWorkloadName),
    ...manifests.flatMap(({ workloads }) => workloads.map(({ namespace, name }) => ({ namespace, name }))),
  ]
  if (wanted.length === 0) {
    throw new HeraldError('ERR_USAGE', 'nothing was named to delete', { hint: 'name workloads, or give -f MANIFEST' })
  }
  const onProgress = progressTo(options.output, environment)
  await withLattice(options, environment, async (client) => {
    const fleet = await client.fleet({ quietMs: 500 })
    refuseSilence(fleet)
    // All are looked up before the first one ends.
    const all = wanted.map((name) => ({
      name,
      replicas: ownReplicas(findWorkload(fleet, name)),
    }))
    for (const { name, replicas } of all) {
      onProgress(`${name.namespace}/${name.name}: ending ${replicas.length} on ${hostsOf(replicas)}`)
      await stopAll(client, replicas, { onProgress })
    }
    const deleted = all.map(({ name, replicas }) => ({
      workload: `${name.namespace}/${name.name}`,
      action: 'deleted',
      stopped: replicas.length,
    }))
    printResult(environment, options.output, {
      value: { deleted },
      text: () => deleted.map(({ workload, stopped }) => `${workload} deleted (${stopped} ended)\n`).join(''),
    })
  })
}

export async function runScale(text: string, options: ScaleOptions, environment: CliEnvironment): Promise<void> {
  const name = parseWorkloadName(text)
  const onProgress = progressTo(options.output, environment)
  await withLattice(options, environment, async (client, { signal }) => {
    const fleet = await client.fleet({ quietMs: 500 })
    refuseSilence(fleet)
    const replicas = ownReplicas(findWorkload(fleet, name))
    const missing = options.replicas - replicas.length
    const [source] = replicas.filter(({ state }) => /_(RUNNING|COMPLETED)$/.test(state))
    if (missing > 0 && source === undefined) {
      throw new HeraldError('ERR_DEPLOY_FAILED', `no replica of ${text} runs, so none can be copied`, {
        hint: 'deploy it again: herald deploy -f',
      })
    }
    const started =
      missing <= 0 || source === undefined
        ? []
        : await copyReplicas(
            client,
            source,
            chooseHosts(fleet, placementOf(source), { count: missing, own: countByHost(replicas) }),
            { waitUntilMs: undefined, onProgress, signal },
          )
    // Of the host that runs most of it, one after the other.
    const left = [...replicas]
    const gone = []
    while (left.length > options.replicas) {
      const counts = countByHost(left)
      left.sort((a, b) => (counts.get(b.host.id) ?? 0) - (counts.get(a.host.id) ?? 0))
      const one = left.shift()
      if (one !== undefined) gone.push(one)
    }
    await stopAll(client, gone, { onProgress })
    const result: DeployResult = {
      workload: `${name.namespace}/${name.name}`,
      action: missing === 0 ? 'unchanged' : 'scaled',
      replicas: [
        ...left.map(({ host, workloadId, state }) => ({ host: nameOf(host), workloadId, state: shortState(state) })),
        ...started.map(({ host, workloadId, state }) => ({ host: nameOf(host), workloadId, state })),
      ],
      stopped: gone.length,
    }
    printDeployed([result], options.output, environment)
  })
}

function printDeployed(results: readonly DeployResult[], output: OutputFormat, environment: CliEnvironment): void {
  const style = styleFor(environment.stdout, environment.noColor)
  const rows = results.flatMap((result) =>
    result.replicas.length === 0
      ? [{ ...result, host: '', state: 'none', workloadId: '' }]
      : result.replicas.map((replica) => ({ ...result, ...replica })),
  )
  printResult(environment, output, {
    value: { deployed: results },
    text: () =>
      table(
        rows,
        [
          { title: 'WORKLOAD', cell: ({ workload }) => workload },
          { title: 'ACTION', cell: ({ action }) => action },
          { title: 'HOST', cell: ({ host }) => host },
          {
            title: 'STATE',
            cell: ({ state }) => state,
            paint: (text, { state }) => style.tone(text, toneOf(state)),
          },
          { title: 'ID', cell: ({ workloadId }) => workloadId, wide: true },
        ],
        { style, wide: output === 'wide' },
      ),
  })
}

const hostsOf = (replicas: ReturnType<typeof replicasOf>): string =>
  [...new Set(replicas.map(({ host }) => nameOf(host)))].join(', ')

/** What goes on, on standard error, for people only. */
export function progressTo(output: OutputFormat, { stderr }: CliEnvironment): (text: string) => void {
  if (output === 'json') return () => {}
  return (text) => void stderr.write(`${text}\n`)
}
