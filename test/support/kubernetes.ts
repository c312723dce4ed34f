import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { type RunResult, runProgram } from '../../scripts/servers/run-program.ts'
import { freePort } from './free-port.ts'
import { socketListens } from './reachable.ts'
import { startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted'

/** A Kubernetes object as it is written in YAML or answered by the API server. */
export type KubernetesObject = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> }
}

/**
 * A real kube-apiserver on a real etcd, Pod Security admission included. There are no controllers, no scheduler and no kubelet: what
 * is applied stays as it was written, and no pod runs. Disposal ends both and removes their data.
 */
export interface Kubernetes extends AsyncDisposable {
  /** `https://127.0.0.1:<port>` */
  readonly url: string
  /** Of the cluster's administrator. */
  readonly kubeconfigPath: string
  /** Runs kubectl to its end. @throws with its output unless it exits with 0 */
  kubectl(...args: readonly string[]): Promise<string>
  /** Like `kubectl`, but whoever calls it looks at the exit code. */
  tryKubectl(...args: readonly string[]): Promise<RunResult>
  /** Applies objects with strict field validation (an unknown field is an error), for real or as the server's dry run. @throws as `kubectl` */
  apply(objects: readonly object[], options?: { dryRun?: boolean; namespace?: string }): Promise<string>
  /** Creates a namespace that enforces a Pod Security level, with the `default` service account that a controller would make. */
  createNamespace(name: string, level: PodSecurityLevel): Promise<void>
  /** All objects of a release in its namespace and of the cluster that carry its label, of every kind there is. `Kind/name` */
  objectsOf(release: string): Promise<readonly string[]>
  logs(): string
}

export interface KubernetesOptions {
  /** An AuthenticationConfiguration, as YAML; default none. */
  readonly authentication?: string
}

/** Starts etcd and kube-apiserver 1.34.2, built before if need be. @throws with the end of the log of the one that does not become ready */
export async function startKubernetes({ authentication }: KubernetesOptions = {}): Promise<Kubernetes> {
  const [etcd, apiServer] = [await buildServer('etcd'), await buildServer('kube-apiserver')]
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const [etcdPort, etcdPeerPort, port] = [await freePort(), await freePort(), await freePort()]
  const url = `https://127.0.0.1:${port}`

  const store = cleanup.use(
    await startServerProcess({
      name: 'etcd',
      program: join(etcd, 'etcd'),
      args: [
        `--data-dir=${join(directory, 'etcd')}`,
        ...[
          `--listen-client-urls=http://127.0.0.1:${etcdPort}`,
          `--advertise-client-urls=http://127.0.0.1:${etcdPort}`,
        ],
        ...[
          `--listen-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
          `--initial-advertise-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
        ],
        `--initial-cluster=default=http://127.0.0.1:${etcdPeerPort}`,
        '--unsafe-no-fsync',
        '--log-level=warn',
      ],
      isReady: () => socketListens(etcdPort),
    }),
  )

  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const token = randomBytes(24).toString('hex')
  const path = (name: string) => join(directory, name)
  writeFileSync(path('sa.key'), privateKey, { mode: 0o600 })
  writeFileSync(path('sa.pub'), publicKey)
  writeFileSync(path('tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 })
  mkdirSync(path('certificates'))
  if (authentication !== undefined) writeFileSync(path('authentication.yaml'), authentication)
  const kubeconfigPath = path('kubeconfig')
  const kubectlProgram = join(apiServer, 'kubectl')
  const tryKubectl = (...args: readonly string[]) =>
    runProgram(kubectlProgram, [...args, `--kubeconfig=${kubeconfigPath}`, `--cache-dir=${path('kubectl-cache')}`], {
      // There are no controllers: what waits for one would wait for ever.
      signal: AbortSignal.timeout(60_000),
    })

  const server = cleanup.use(
    await startServerProcess({
      name: 'kube-apiserver',
      program: join(apiServer, 'kube-apiserver'),
      args: [
        `--etcd-servers=http://127.0.0.1:${etcdPort}`,
        ...[`--secure-port=${port}`, '--bind-address=127.0.0.1', `--cert-dir=${path('certificates')}`],
        ...[`--service-account-key-file=${path('sa.pub')}`, `--service-account-signing-key-file=${path('sa.key')}`],
        '--service-account-issuer=https://kubernetes.default.svc',
        `--token-auth-file=${path('tokens.csv')}`,
        '--authorization-mode=RBAC',
        ...(authentication === undefined ? [] : [`--authentication-config=${path('authentication.yaml')}`]),
        '--service-cluster-ip-range=10.96.0.0/16',
        // There is nobody to talk to: no endpoints of its own, no aggregated API servers.
        '--endpoint-reconciler-type=none',
      ],
      isReady: async () => {
        writeFileSync(kubeconfigPath, kubeconfig(url, readFileSync(path('certificates/apiserver.crt')), token), {
          mode: 0o600,
        })
        const ready = await tryKubectl('get', '--raw=/readyz')
        if (ready.exitCode !== 0) throw new Error(ready.output.trim())
        return true
      },
    }),
  )

  async function kubectl(...args: readonly string[]): Promise<string> {
    const result = await tryKubectl(...args)
    if (result.exitCode === 0) return result.stdout
    throw new Error(`kubectl ${args.join(' ')} failed (exit code ${result.exitCode}): ${result.output.trim()}`)
  }

  let applied = 0
  async function apply(
    objects: readonly object[],
    { dryRun = false, namespace }: { dryRun?: boolean; namespace?: string } = {},
  ) {
    const file = path(`apply-${++applied}.json`)
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    return await kubectl(
      ...['apply', `--filename=${file}`, '--validate=strict', '--server-side', '--force-conflicts'],
      ...(dryRun ? ['--dry-run=server'] : []),
      ...(namespace === undefined ? [] : [`--namespace=${namespace}`]),
    )
  }

  async function createNamespace(name: string, level: PodSecurityLevel): Promise<void> {
    const labels = {
      'pod-security.kubernetes.io/enforce': level,
      'pod-security.kubernetes.io/enforce-version': 'latest',
    }
    await apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }])
    await apply([{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } }])
  }

  const owned = cleanup.move()
  return {
    url,
    kubeconfigPath,
    kubectl,
    tryKubectl,
    apply,
    createNamespace,
    async objectsOf(release) {
      const kinds = (await kubectl('api-resources', '--verbs=list', '--output=name')).trim().split('\n')
      const listed = kinds.filter((kind) => !/^(events|componentstatuses)/.test(kind)).join(',')
      const selector = `app.kubernetes.io/instance=${release}`
      const names = await kubectl('get', listed, '--all-namespaces', `--selector=${selector}`, '--output=name')
      return names.split('\n').filter((name) => name !== '')
    },
    logs: () => `${store.log.text()}\n${server.log.text()}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function kubeconfig(server: string, certificate: Buffer, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': certificate.toString('base64') } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  })
}

/** Resolves once the API server serves a kind that a CustomResourceDefinition has just brought. */
export async function servesKind({ tryKubectl }: Kubernetes, plural: string): Promise<void> {
  for (const deadline = performance.now() + 15_000; ; await sleep(50)) {
    const { exitCode, output } = await tryKubectl('get', plural)
    if (exitCode === 0) return
    if (performance.now() > deadline) throw new Error(`${plural} are not served after 15 s: ${output.trim()}`)
  }
}
