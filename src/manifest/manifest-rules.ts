import { parseAudiences } from './audiences.ts'
import { cellSettingProblems } from './cell-settings.ts'
import { parseHttpHost } from './http-hosts.ts'
import type { KeyPath, Problem } from './problem.ts'
import { serviceComponentName } from './workload.ts'

/** What the rules find in one workload's spec. */
export type Findings = { readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] }

/**
 * What no schema of a single key can say: uniqueness, references between keys, and fields that are valid but mean nothing here.
 * Reads tolerantly, because it runs beside the schema, so that one run reports all faults: what has the wrong type is skipped here.
 */
export function checkWorkloadSpec(spec: unknown, path: KeyPath): Findings {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const components = list(record(spec).components)
  const service = record(spec).service

  if (components.length === 0 && service === undefined) {
    problems.push({
      path,
      at: 'value',
      message: 'there is nothing to run',
      hint: 'list at least one entry in components',
    })
  }
  problems.push(...duplicates(components, 'component', [...path, 'components'], (component) => record(component).name))
  components.forEach((component, index) => {
    const at = [...path, 'components', index]
    if (service !== undefined && record(component).name === serviceComponentName) {
      problems.push({
        path: [...at, 'name'],
        at: 'value',
        message: `a component of a workload with a service cannot be named "${serviceComponentName}"`,
        hint: "that is the service's own name, and two components of one name would share an identity",
      })
    }
    checkUnit(component, at, spec, problems, warnings)
  })
  if (service !== undefined) checkUnit(service, [...path, 'service'], spec, problems, warnings)
  const interfaces = checkHostInterfaces(list(record(spec).hostInterfaces), [...path, 'hostInterfaces'])
  problems.push(...interfaces.problems)
  warnings.push(...interfaces.warnings)
  problems.push(...checkVolumes(list(record(spec).volumes), [...path, 'volumes']))
  if (record(spec).kubernetes !== undefined) warnings.push(kubernetesWarning([...path, 'kubernetes']))
  return { problems, warnings }
}

export const kubernetesWarning = (path: KeyPath): Problem => ({
  path,
  at: 'key',
  message:
    "no effect outside a cluster: only upstream's operator keeps a Service's EndpointSlice and adds its names as host-aliases",
})

/** A component or a service. */
function checkUnit(unit: unknown, path: KeyPath, spec: unknown, problems: Problem[], warnings: Problem[]): void {
  const { image, imagePullPolicy, imagePullSecret, maxConcurrency, maxInvocations, poolSize, localResources } =
    record(unit)
  const environment = record(record(localResources).environment)
  problems.push(...unresolvable(environment, [...path, 'localResources', 'environment']))

  const volumes = new Set(list(record(spec).volumes).map((volume) => record(volume).name))
  const mounts = list(record(localResources).volumeMounts)
  mounts.forEach((mount, index) => {
    const { name } = record(mount)
    if (typeof name !== 'string' || volumes.has(name)) return
    problems.push({
      path: [...path, 'localResources', 'volumeMounts', index, 'name'],
      at: 'value',
      message: `there is no volume ${JSON.stringify(name)}`,
      hint: volumes.size === 0 ? 'add it to volumes' : `volumes: ${[...volumes].join(', ')}`,
    })
  })
  problems.push(
    ...duplicates(
      mounts,
      'mountPath',
      [...path, 'localResources', 'volumeMounts'],
      (mount) => record(mount).mountPath,
      'mountPath',
    ),
  )
  list(record(localResources).allowedHostLoopbackPorts).forEach((port, index) => {
    if (typeof port !== 'string' || !/^\d+/.test(port) || isPort(Number.parseInt(port, 10))) return
    problems.push({
      path: [...path, 'localResources', 'allowedHostLoopbackPorts', index],
      at: 'value',
      message: `${JSON.stringify(port)} is no port`,
      hint: 'use 1 to 65535',
    })
  })

  if (typeof image === 'string' && image.startsWith('file://')) {
    for (const [key, value] of Object.entries({ imagePullPolicy, imagePullSecret })) {
      if (value === undefined) continue
      warnings.push({
        path: [...path, key],
        at: 'key',
        message: 'no effect on a file:// image: the file is read at every start',
      })
    }
  }
  if (typeof maxConcurrency === 'number' && maxConcurrency > 1) {
    warnings.push({
      path: [...path, 'maxConcurrency'],
      at: 'key',
      message:
        'taken as 1, as by upstream for components of WASI 0.2: an instance of theirs must not be entered twice; calls overlap in instances of their own, as many as poolSize keeps',
    })
  }
  if (typeof maxInvocations === 'number' && maxInvocations > 0 && poolSize === 0) {
    warnings.push({
      path: [...path, 'maxInvocations'],
      at: 'key',
      message: 'no effect with poolSize: 0, where no instance outlives its call',
    })
  }
}

function checkHostInterfaces(entries: readonly unknown[], path: KeyPath): Findings {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const exact = new Map<string, number>()
  const unnamed = new Map<string, number>()
  entries.forEach((entry, index) => {
    const { namespace, package: packageName, name = '', version = '', config, ...rest } = record(entry)
    problems.push(...unresolvable(rest, [...path, index]))
    if (typeof namespace !== 'string' || typeof packageName !== 'string') return
    const wit = `${namespace}:${packageName}`
    const key = JSON.stringify([wit, name, version])
    const twin = exact.get(key)
    const nameless = name === '' ? unnamed.get(wit) : undefined
    if (twin !== undefined) {
      problems.push({
        path: [...path, index],
        at: 'value',
        message: `${wit} is listed twice, as in entry ${twin}`,
        hint: 'remove one',
      })
    } else if (nameless !== undefined) {
      problems.push({
        path: [...path, index],
        at: 'value',
        message: `${wit} has a second entry without name, beside entry ${nameless}`,
        hint: 'name them: name is what tells several entries of one package apart',
      })
    }
    if (!exact.has(key)) exact.set(key, index)
    if (name === '' && !unnamed.has(wit)) unnamed.set(wit, index)
    if (wit === 'wasmcloud:identity') problems.push(...checkAudiences(config, [...path, index]))
    if (wit === 'herald:cell') {
      for (const { key, ...problem } of cellSettingProblems(record(config)))
        problems.push({ path: [...path, index, 'config', key], at: 'value', ...problem })
    }
    if (wit === 'wasi:http') {
      problems.push(...checkHttpHosts(config, [...path, index]))
      warnings.push(...unknownHttpKeys(config, [...path, index]))
    }
  })
  return { problems, warnings }
}

function checkHttpHosts(config: unknown, path: KeyPath): Problem[] {
  return (['host', 'host-aliases'] as const).flatMap((key) => {
    const value = record(config)[key]
    if (typeof value !== 'string') return []
    const wrong = value.split(',').find((name) => parseHttpHost(name) === undefined)
    if (wrong === undefined) return []
    return [
      {
        path: [...path, 'config', key],
        at: 'value',
        message: `${JSON.stringify(wrong.trim())} is no host name`,
        hint: 'write it as a Host header has it, without scheme, port and path; * is any host',
      },
    ]
  })
}

function unknownHttpKeys(config: unknown, path: KeyPath): Problem[] {
  return Object.keys(record(config))
    .filter((key) => key !== 'host' && key !== 'host-aliases')
    .map((key) => ({
      path: [...path, 'config', key],
      at: 'key',
      message: 'no effect: wasi:http has host and host-aliases',
    }))
}

function checkAudiences(config: unknown, path: KeyPath): Problem[] {
  const hint = 'list every audience the components may ask tokens for, comma-separated: audiences: "sts.amazonaws.com"'
  if (config !== undefined && (typeof config !== 'object' || config === null)) return []
  const { audiences } = record(config)
  if (audiences === undefined) {
    return [
      {
        path: [...path, 'config', 'audiences'],
        at: 'value',
        message: 'wasmcloud:identity needs "audiences" in its config',
        hint,
      },
    ]
  }
  if (typeof audiences !== 'string' || parseAudiences(audiences) !== undefined) return []
  return [{ path: [...path, 'config', 'audiences'], at: 'value', message: 'an audience is empty', hint }]
}

function checkVolumes(volumes: readonly unknown[], path: KeyPath): Problem[] {
  const problems = duplicates(volumes, 'volume', path, (volume) => record(volume).name)
  volumes.forEach((volume, index) => {
    const { ephemeral, hostPath } = record(volume)
    if ((ephemeral === undefined) !== (hostPath === undefined)) return
    problems.push({
      path: [...path, index],
      at: 'value',
      message: 'a volume is either ephemeral or a hostPath',
      hint: 'write ephemeral: {} or hostPath: {path: /srv/data}',
    })
  })
  return problems
}

/** References to objects of a cluster: without a cluster the guest would run with values missing, so they are refused. */
function unresolvable(layer: Record<string, unknown>, path: KeyPath): Problem[] {
  return (['configFrom', 'secretFrom'] as const)
    .filter((key) => list(layer[key]).length > 0)
    .map((key) => ({
      path: [...path, key],
      at: 'key',
      kind: 'unsupported',
      message: `${key} names ${key === 'configFrom' ? 'ConfigMaps' : 'Secrets'} of a cluster, which this host cannot read`,
      hint:
        key === 'configFrom'
          ? 'write the values into config'
          : "deploy through upstream's operator, which resolves them",
    }))
}

function duplicates(
  entries: readonly unknown[],
  noun: string,
  path: KeyPath,
  keyOf: (entry: unknown) => unknown,
  key = 'name',
): Problem[] {
  const seen = new Set<string>()
  return entries.flatMap((entry, index) => {
    const value = keyOf(entry)
    if (typeof value !== 'string') return []
    if (!seen.has(value)) {
      seen.add(value)
      return []
    }
    const message = `${noun} ${JSON.stringify(value)} is there twice`
    return [{ path: [...path, index, key], at: 'value' as const, message, hint: 'every one needs its own' }]
  })
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
