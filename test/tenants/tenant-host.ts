import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type HeraldProcess, startHerald } from '../cli/herald-process.ts'
import { type HttpAnswer, httpCall } from '../support/http-call.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export type TenantWorkload = {
  readonly namespace: string
  readonly workload: string
  readonly component: string
  /** Path of a component. */
  readonly wasm: string
  readonly poolSize?: number
  readonly labels?: Readonly<Record<string, string>>
  /** Further config of its wasmcloud:identity entry. */
  readonly identity?: Readonly<Record<string, string>>
  /** Entries of herald:credentials by name, instead of wasmcloud:identity. */
  readonly credentials?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

export const tenantAudience = 'https://ledger.example.org'

/** Where a workload answers: unique for namespace, workload and component. */
export function hostNameOf({ namespace, workload, component }: TenantWorkload): string {
  return `${component}.${workload}.${namespace}.test`
}

export function tenantManifest(tenant: TenantWorkload): object {
  const { namespace, workload, component, wasm, poolSize = 2, labels = {}, identity = {}, credentials } = tenant
  const http = {
    namespace: 'wasi',
    package: 'http',
    interfaces: ['incoming-handler'],
    config: { host: hostNameOf(tenant) },
  }
  const config = { audiences: tenantAudience, ...identity }
  const store = { namespace: 'wasmcloud', package: 'identity', interfaces: ['store'], version: '0.0.1', config }
  const bindings = Object.entries(credentials ?? {}).map(([name, binding]) => ({
    ...{ namespace: 'herald', package: 'credentials', interfaces: ['store'], version: '0.1.0', name },
    config: binding,
  }))
  const resources = { environment: { config: { HERALD_AUDIENCE: tenantAudience } } }
  return {
    apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
    kind: 'WorkloadDeployment',
    metadata: { name: workload, namespace, labels },
    spec: {
      template: {
        spec: {
          components: [{ name: component, image: `file://${wasm}`, poolSize, localResources: resources }],
          hostInterfaces: credentials === undefined ? [http, store] : bindings,
        },
      },
    },
  }
}

/** `herald host` with the workloads of several tenants at once, on a real SPIRE. */
export interface TenantHost extends AsyncDisposable {
  readonly process: HeraldProcess
  /** What the component says of itself: its SPIFFE ID, or the code of its refusal. */
  whoIs(tenant: TenantWorkload): Promise<string>
}

export async function startTenantHost(
  adminSocketPath: string,
  tenants: readonly TenantWorkload[],
  args: readonly string[] = [],
): Promise<TenantHost> {
  await using cleanup = new AsyncDisposableStack()
  const file = join(cleanup.use(temporaryDirectory()).path, 'tenants.yaml')
  writeFileSync(file, tenants.map((tenant) => stringify(tenantManifest(tenant))).join('---\n'))
  const herald = cleanup.use(
    startHerald([
      ...['host', '-f', file, '--spire-admin-socket', adminSocketPath, '--http', '127.0.0.1:0', '--output', 'json'],
      ...args,
    ]),
  )
  const { http } = await herald.event('ready')
  const owned = cleanup.move()
  return {
    process: herald,
    async whoIs(tenant) {
      const answer: HttpAnswer = await httpCall(`${http}/`, { host: hostNameOf(tenant) })
      const { spiffeId, error } = answer.json()
      return spiffeId ?? error.code
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
