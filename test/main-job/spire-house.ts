import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { buildComponents } from '../../scripts/build-components.ts'
import { type HeraldProcess, startHerald } from '../cli/herald-process.ts'
import { type HttpAnswer, type HttpCall, httpCall } from '../support/http-call.ts'
import { startLog } from '../support/log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export type TestWorkload = {
  /** Of workload and component; its HTTP host is `<name>.test`. */
  readonly name: string
  /** A component of components/, or `file://…` of any file. */
  readonly image: string
  readonly environment?: Readonly<Record<string, string>>
  readonly allowedHosts?: readonly string[]
  /** The config of its wasmcloud:identity entry; without it there is none. */
  readonly identity?: Readonly<Record<string, string>>
}

/** `herald host` as a user starts it, on the admin socket of a real SPIRE agent, with a manifest of its own. */
export interface HostOnSpire extends AsyncDisposable {
  readonly process: HeraldProcess
  readonly url: string
  /** To the workload of that name. */
  call(workload: string, path: string, options?: Omit<HttpCall, 'host'>): Promise<HttpAnswer>
}

export async function startHostOnSpire(
  adminSocketPath: string,
  workloads: readonly TestWorkload[],
  args: readonly string[] = [],
): Promise<HostOnSpire> {
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const file = join(directory, 'workloads.yaml')
  const built = await buildComponents(workloads.map(({ image }) => image).filter((image) => !image.startsWith('file:')))
  writeFileSync(file, workloads.map((workload) => stringify(toManifest(workload, built))).join('---\n'))
  const herald = cleanup.use(
    startHerald([
      'host',
      '-f',
      file,
      '--spire-admin-socket',
      adminSocketPath,
      '--http',
      '127.0.0.1:0',
      '--output',
      'json',
      ...args,
    ]),
  )
  const log = startLog('herald-host')
  void herald.exited.then(({ stderr }) => log.append(stderr))
  const ready = await herald.event('ready')
  const url = String(ready.http)
  const owned = cleanup.move()
  return {
    process: herald,
    url,
    call: (workload, path, options) => httpCall(`${url}${path}`, { ...options, host: `${workload}.test` }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function toManifest(
  { name, image, environment = {}, allowedHosts = [], identity }: TestWorkload,
  built: Map<string, string>,
): object {
  const http = {
    namespace: 'wasi',
    package: 'http',
    interfaces: ['incoming-handler'],
    config: { host: `${name}.test` },
  }
  const store = {
    namespace: 'wasmcloud',
    package: 'identity',
    interfaces: ['store'],
    version: '0.0.1',
    config: identity,
  }
  const component = {
    name,
    image: image.startsWith('file:') ? image : `file://${built.get(image)}`,
    poolSize: 2,
    localResources: { environment: { config: environment }, allowedHosts },
  }
  return {
    apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
    kind: 'WorkloadDeployment',
    metadata: { name, namespace: 'default' },
    spec: {
      template: { spec: { components: [component], hostInterfaces: identity === undefined ? [http] : [http, store] } },
    },
  }
}
