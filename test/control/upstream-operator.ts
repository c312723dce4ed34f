import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/free-port.ts'
import { type Kubernetes, servesKind, startKubernetes } from '../support/kubernetes.ts'
import { urlAnswers } from '../support/reachable.ts'
import { type ServerProcess, startServerProcess } from '../support/server-process.ts'

export const operatorNamespace = 'herald-system'
export const group = '/apis/runtime.wasmcloud.dev/v1alpha1'

type Owned = { readonly uid: string; readonly ownerReferences?: readonly { readonly uid: string }[] }

/** An object of the API server, as far as these tests read it. */
export type Stored = {
  readonly metadata: Owned & {
    readonly name: string
    readonly namespace: string
    readonly labels?: Record<string, string>
    readonly deletionTimestamp?: string
    readonly finalizers?: readonly string[]
  }
  readonly status?: {
    readonly hostId?: string
    readonly workloadId?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
    readonly replicas?: Readonly<Record<string, number>>
  }
  readonly hostId?: string
  readonly hostname?: string
  readonly httpPort?: number
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[]
  readonly ports?: readonly { readonly port: number }[]
}

/** Upstream's real operator on a real kube-apiserver. Disposal ends both. */
export interface UpstreamOperator extends AsyncDisposable {
  readonly kubernetes: Kubernetes
  /** Items of a list, or nothing when there is no such list. */
  list(path: string): Promise<readonly Stored[]>
  get(path: string): Promise<Stored | undefined>
  patchStatus(path: string, status: object): Promise<void>
  logs(): string
}

/**
 * @param program the operator, built from upstream's repository; @param crds the folder of its CustomResourceDefinitions
 */
export async function startUpstreamOperator(program: string, crds: string, natsUrl: string): Promise<UpstreamOperator> {
  await using cleanup = new AsyncDisposableStack()
  const kubernetes = cleanup.use(await startKubernetes())
  await kubernetes.kubectl('apply', `--filename=${crds}`, '--server-side')
  for (const kind of ['hosts', 'workloads', 'workloaddeployments', 'workloadreplicasets', 'artifacts'])
    await servesKind(kubernetes, `${kind}.runtime.wasmcloud.dev`)
  await kubernetes.createNamespace(operatorNamespace, 'restricted')

  const port = await freePort()
  const operator: ServerProcess = cleanup.use(
    await startServerProcess({
      name: 'upstream-operator',
      program,
      args: [
        ...[`--nats-url=${natsUrl}`, '--metrics-bind-address=0', `--health-probe-bind-address=127.0.0.1:${port}`],
        // This machine is shared and busy: with the default of 80 % no host would be schedulable now and then.
        ...['--cpu-backpressure-threshold=1000', '--json-log'],
      ],
      env: { OPERATOR_NAMESPACE: operatorNamespace, KUBECONFIG: kubernetes.kubeconfigPath },
      isReady: (signal) => urlAnswers(`http://127.0.0.1:${port}/readyz`, signal),
    }),
  )

  const call = apiClient(kubernetes)
  const list = async (path: string): Promise<readonly Stored[]> => {
    const { status, body } = await call('GET', path)
    return status === 200 ? (body as { items: Stored[] }).items : []
  }
  const collecting = new AbortController()
  cleanup.defer(() => collecting.abort())
  void collectGarbage(list, call, collecting.signal)

  const owned = cleanup.move()
  return {
    kubernetes,
    list,
    async get(path) {
      const { status, body } = await call('GET', path)
      return status === 200 ? (body as Stored) : undefined
    },
    async patchStatus(path, status) {
      const answer = await call('PATCH', `${path}/status`, { status })
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    },
    logs: () => operator.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type Call = (method: string, path: string, body?: object) => Promise<{ status: number; body: unknown }>

/**
 * A stand-in for kube-controller-manager's garbage collector, which is not part of this cluster: what belongs to an owner that is gone
 * is deleted, every 300 ms.
 */
async function collectGarbage(
  list: (path: string) => Promise<readonly Stored[]>,
  call: Call,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(300, undefined, { signal }).catch(() => {})
    try {
      for (const [kind, owners] of [
        ['workloadreplicasets', 'workloaddeployments'],
        ['workloads', 'workloadreplicasets'],
      ]) {
        // Owned ones first: an owner made after the second list would look gone.
        const items = await list(`${group}/${kind}`)
        const present = new Set((await list(`${group}/${owners}`)).map(({ metadata }) => metadata.uid))
        for (const { metadata } of items) {
          const { ownerReferences = [], deletionTimestamp, namespace, name } = metadata
          if (deletionTimestamp !== undefined || ownerReferences.length === 0) continue
          if (ownerReferences.some(({ uid }) => present.has(uid))) continue
          await call('DELETE', `${group}/namespaces/${namespace}/${kind}/${name}`)
        }
      }
    } catch (error) {
      if (!signal.aborted) console.log(`garbage collector stand-in: ${String(error)}`)
    }
  }
}

/** As the cluster's administrator: kubectl takes too long to time anything with. */
function apiClient(kubernetes: Kubernetes): Call {
  const { clusters, users } = JSON.parse(readFileSync(kubernetes.kubeconfigPath, 'utf8'))
  const ca = Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64')
  const authorization = `Bearer ${users[0].user.token}`
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = { authorization, 'content-type': 'application/merge-patch+json' }
      const outgoing = request(`${kubernetes.url}${path}`, { method, ca, headers, timeout: 10_000 }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          try {
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) })
          } catch {
            resolve({ status: response.statusCode ?? 0, body: text })
          }
        })
      })
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)))
      outgoing.on('error', reject)
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    })
}

export function conditionOf(object: Stored | undefined, type: string): string {
  return object?.status?.conditions?.find((condition) => condition.type === type)?.status ?? 'absent'
}
