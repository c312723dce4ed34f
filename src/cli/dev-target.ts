import { readdir, stat } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'
import { loadManifest } from '../manifest/load-manifest.ts'
import type { ManifestWarning } from '../manifest/problem.ts'
import type { Workload } from '../manifest/workload.ts'

/** What `herald dev` runs. */
export type DevTarget = {
  /** As found: relative to the working directory where it is below it. */
  readonly file: string
  readonly kind: 'component' | 'manifest'
  readonly workloads: readonly Workload[]
  readonly warnings: readonly ManifestWarning[]
}

/** What stands in for a manifest when a bare component is run. */
export type BareComponentOptions = {
  readonly audiences: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly allowedHosts: readonly string[]
  /** Instances kept between calls; 0 = a fresh one per call. */
  readonly poolSize: number
}

const manifestNames = ['workload.yaml', 'herald.yaml']

/**
 * A component file, a manifest, or a directory with workload.yaml, herald.yaml or one build/*.wasm.
 * @throws ERR_MANIFEST_NOT_FOUND, ERR_USAGE, ManifestError
 */
export async function findDevTarget(
  target: string,
  bare: BareComponentOptions,
  { cwd }: { cwd: string },
): Promise<DevTarget> {
  const path = resolve(cwd, target)
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' ? 'no such file or directory' : `cannot be read: ${cause.code}`
    throw new HeraldError('ERR_MANIFEST_NOT_FOUND', what, {
      where: { file: target },
      hint: 'name a .wasm component, a manifest, or a directory with one of them',
      cause,
    })
  })
  const file = found.isDirectory() ? await findInDirectory(path, target) : path
  const shown = relative(cwd, file).startsWith('..') ? file : relative(cwd, file)
  if (!file.endsWith('.wasm')) {
    const { audiences, environment, allowedHosts, poolSize } = bare
    if (audiences.length > 0 || Object.keys(environment).length > 0 || allowedHosts.length > 0 || poolSize > 0) {
      throw new HeraldError('ERR_USAGE', '--audience, --env, --allow-host and --pool-size are for a bare .wasm file', {
        where: { file: shown },
        hint: 'write them into the manifest',
      })
    }
    return { file: shown, kind: 'manifest', ...(await loadManifest(shown, { cwd })) }
  }
  return { file: shown, kind: 'component', workloads: [bareWorkload(file, bare)], warnings: [] }
}

async function findInDirectory(directory: string, shown: string): Promise<string> {
  const here = await readdir(directory)
  const manifest = manifestNames.find((name) => here.includes(name))
  if (manifest !== undefined) return join(directory, manifest)
  const build = join(directory, 'build')
  const built = (await readdir(build).catch((): string[] => [])).filter((name) => name.endsWith('.wasm')).sort()
  const [only, ...others] = built
  if (only !== undefined && others.length === 0) return join(build, only)
  throw new HeraldError(
    'ERR_MANIFEST_NOT_FOUND',
    only === undefined
      ? `neither ${manifestNames.join(' nor ')} nor a component in build/`
      : `several components in build/: ${built.join(', ')}`,
    {
      where: { file: shown },
      hint: only === undefined ? 'build the component first, or name its file' : 'name the one to run',
    },
  )
}

/** A workload of one component that answers any host; identity only when audiences were given: deny by default. */
function bareWorkload(
  path: string,
  { audiences, environment, allowedHosts, poolSize }: BareComponentOptions,
): Workload {
  const name = nameOf(path)
  const http: HostInterface = {
    namespace: 'wasi',
    package: 'http',
    version: undefined,
    interfaces: ['incoming-handler'],
    name: undefined,
    config: {},
  }
  const identity: HostInterface = {
    namespace: 'wasmcloud',
    package: 'identity',
    version: '0.0.1',
    interfaces: ['store'],
    name: undefined,
    config: { audiences: audiences.join(',') },
  }
  return {
    kind: 'Workload',
    name,
    namespace: 'default',
    replicas: 1,
    hostSelector: {},
    environment: undefined,
    hostId: undefined,
    components: [
      {
        name,
        image: { kind: 'file', reference: `file://${encodeURI(path)}`, path },
        imagePullPolicy: undefined,
        imagePullSecret: undefined,
        poolSize,
        maxInvocations: undefined,
        resources: {
          environment,
          config: {},
          allowedHosts,
          allowedIpNameLookups: [],
          allowedHostLoopbackPorts: [],
          volumeMounts: [],
        },
      },
    ],
    service: undefined,
    hostInterfaces: audiences.length === 0 ? [http] : [http, identity],
    volumes: [],
  }
}

/** The file's name as a DNS-1123 label: it becomes the component's name, and so the end of its SPIFFE ID. */
function nameOf(path: string): string {
  const label = basename(path, '.wasm')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return label === '' ? 'component' : label
}
