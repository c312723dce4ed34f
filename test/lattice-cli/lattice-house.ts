import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildComponents } from '../../scripts/build-components.ts'
import { directoriesIn, type HeraldProcess, type HeraldRun, runHerald, startHerald } from '../cli/herald-process.ts'
import { signal, testClient } from '../oci/oci-test-setup.ts'
import { type Nats, startNats } from '../support/nats.ts'
import { type Registry, startRegistry } from '../support/registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A real NATS, a real registry with hello-c and whoami-c in it, and `herald` against both. */
export interface LatticeHouse extends AsyncDisposable {
  readonly nats: Nats
  readonly registry: Registry
  readonly directory: string
  image(component: string): string
  /** `herald` with `--output json`, what it printed parsed. @throws when it does not end with 0 */
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it field by field
  json(...args: string[]): Promise<any>
  run(...args: string[]): Promise<HeraldRun>
  start(...args: string[]): HeraldProcess
  /** A real host on the lattice, its identities refused for want of SPIRE. */
  host(name: string, ...more: string[]): Promise<LatticeHost>
  manifest(name: string, options?: ManifestOptions): string
}

export type LatticeHost = {
  readonly name: string
  readonly id: string
  readonly url: string
  readonly herald: HeraldProcess
}
export type ManifestOptions = {
  image?: string
  imagePullSecret?: string
  replicas?: number
  spec?: string
  environment?: string
  kind?: string
}

export async function startLatticeHouse(): Promise<LatticeHouse> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(temporaryDirectory()).path
  const components = await buildComponents(['hello-c', 'whoami-c'])
  const nats = stack.use(await startNats())
  const registry = stack.use(await startRegistry())
  const client = await testClient()
  for (const [name, path] of components)
    await client.push(`${registry.host}/demo/${name}:1`, readFileSync(path), { signal: signal() })
  const image = (component: string): string => `${registry.host}/demo/${component}:1`
  const options = {
    cwd: directory,
    env: {
      HERALD_NATS_URL: nats.url,
      ...directoriesIn(directory),
    },
    node: process.execPath,
  }
  const run = (...args: string[]): Promise<HeraldRun> => runHerald(args, options)
  const owned = stack.move()
  return {
    nats,
    registry,
    directory,
    image,
    run,
    start: (...args) => startHerald(args, options),
    async json(...args) {
      const { exitCode, stdout, stderr } = await run(...args, '--output', 'json')
      if (exitCode !== 0) throw new Error(`herald ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
      return JSON.parse(stdout)
    },
    async host(name, ...more) {
      const herald = owned.use(
        startHerald(
          [
            ...['host', '--nats', nats.url, '--friendly-name', name, '--http', '0', '--output', 'json'],
            ...['--spire-admin-socket', join(directory, 'no.sock'), ...more],
          ],
          options,
        ),
      )
      const { http, hostId } = (await herald.event('ready')) as { http: string; hostId: string }
      const untilMs = Date.now() + 20_000
      while (!herald.stderr.includes('"event":"control.started"')) {
        if (Date.now() > untilMs) throw new Error(`${name} is not on the lattice: ${herald.stderr}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return { name, id: hostId, url: http, herald }
    },
    manifest(name, { image: of = image('hello-c'), imagePullSecret, replicas = 1, spec = '', environment } = {}) {
      const file = join(directory, `${name}.yaml`)
      const secret = imagePullSecret === undefined ? '' : `, imagePullSecret: {name: ${imagePullSecret}}`
      const variables = environment === undefined ? '' : `, localResources: {environment: {config: {${environment}}}}`
      writeFileSync(
        file,
        `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  template:
    spec:
      components: [{name: ${name}, image: "${of}"${secret}${variables}}]
      hostInterfaces: [{namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: "${name}.example"}}]
${spec}`,
      )
      return file
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
