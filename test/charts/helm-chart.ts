import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { type RunResult, runProgram } from '../../scripts/servers/run-program.ts'
import { programPath } from '../../scripts/servers.ts'
import type { Kubernetes, KubernetesObject } from '../support/kubernetes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export type Values = Readonly<Record<string, unknown>>

export type RenderedObject = KubernetesObject & { readonly [key: string]: unknown }

/** A chart of charts/ made complete: a copy whose dependencies are there, as stand-ins or, by environment, the real ones. */
export interface HelmChart extends Disposable {
  readonly directory: string
  /** Whether the dependencies are the real charts. Tests that say what stand-ins render ask it. */
  readonly realDependencies: boolean
  /** `helm lint`. */
  lint(values: Values): Promise<RunResult>
  /** `helm template`, hooks included. @throws with Helm's message if it refuses the values */
  template(values: Values, options?: { release?: string; namespace?: string }): Promise<readonly RenderedObject[]>
  /** Any other command: `helm(['uninstall', 'r'], kubernetes)`. */
  helm(args: readonly string[], kubernetes?: Kubernetes): Promise<RunResult>
  /** Values as a file, for `helm`. */
  valuesFile(values: Values): string
}

const charts = join(import.meta.dirname, '../../charts')
const standIns = join(import.meta.dirname, 'stand-ins')

/** @param name folder below charts/: `herald-platform` or `examples/umbrella` */
export async function openHelmChart(name: string): Promise<HelmChart> {
  const program = await programPath('helm')
  const workspace = temporaryDirectory()
  const directory = join(workspace.path, basename(name))
  const { HERALD_NATS_CHART, HERALD_OPERATOR_CHART } = process.env
  const dependencies = join(directory, 'charts')
  const add = (from: string, to: string) => cpSync(from, to, { recursive: true })
  add(join(charts, name), directory)
  mkdirSync(dependencies)
  const nats = HERALD_NATS_CHART ?? join(standIns, 'nats')
  add(nats, join(dependencies, 'nats'))
  if (name === 'herald-platform') {
    add(HERALD_OPERATOR_CHART ?? join(standIns, 'runtime-operator'), join(dependencies, 'runtime-operator'))
  } else {
    const platform = join(dependencies, 'herald-platform')
    add(join(charts, 'herald-platform'), platform)
    mkdirSync(join(platform, 'charts'))
    add(nats, join(platform, 'charts/nats'))
    add(HERALD_OPERATOR_CHART ?? join(standIns, 'runtime-operator'), join(platform, 'charts/runtime-operator'))
  }

  let files = 0
  const valuesFile = (values: Values) => {
    const file = join(workspace.path, `values-${++files}.yaml`)
    writeFileSync(file, JSON.stringify(values))
    return file
  }
  const helm = (args: readonly string[], kubernetes?: Kubernetes) =>
    runProgram(program, args, {
      signal: AbortSignal.timeout(120_000),
      env: {
        PATH: process.env.PATH,
        // Where it keeps what it discovers of a cluster; without it that is below the current folder.
        HOME: workspace.path,
        // Nothing of this machine's own configuration, and no cluster but the one that is meant.
        HELM_CONFIG_HOME: join(workspace.path, 'helm/config'),
        HELM_CACHE_HOME: join(workspace.path, 'helm/cache'),
        HELM_DATA_HOME: join(workspace.path, 'helm/data'),
        KUBECONFIG: kubernetes?.kubeconfigPath ?? '/dev/null',
      },
    })
  return {
    directory,
    realDependencies: HERALD_NATS_CHART !== undefined || HERALD_OPERATOR_CHART !== undefined,
    valuesFile,
    helm,
    lint: (values) => helm(['lint', directory, '--strict', '--values', valuesFile(values)]),
    async template(values, { release = 'rel', namespace = 'herald' } = {}) {
      const args = ['template', release, directory, '--namespace', namespace, '--values', valuesFile(values)]
      const result = await helm([...args, '--kube-version', '1.34.2'])
      if (result.exitCode !== 0) throw new Error(result.output.trim())
      return readObjects(result.stdout)
    },
    [Symbol.dispose]: () => workspace[Symbol.dispose](),
  }
}

/** The objects of a YAML stream; an empty document is none. @throws for YAML that is not strictly well-formed, such as a key twice */
export function readObjects(text: string): readonly RenderedObject[] {
  const objects: RenderedObject[] = []
  for (const document of parseAllDocuments(text)) {
    if (document.errors[0] !== undefined) throw document.errors[0]
    const value = document.toJS() as RenderedObject | null
    if (value !== null) objects.push(value)
  }
  return objects
}

export function readObjectsOfFile(path: string): readonly RenderedObject[] {
  return readObjects(readFileSync(path, 'utf8'))
}
