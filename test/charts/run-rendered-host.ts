import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type RunResult, runProgram } from '../../scripts/servers/run-program.ts'
import { startLog } from '../support/log.ts'
import { urlAnswers } from '../support/reachable.ts'
import { type ServerProcess, startServerProcess } from '../support/server-process.ts'
import type { RenderedObject } from './helm-chart.ts'
import type { ImageRoot } from './image-root.ts'
import { containerProcess, type PodSurroundings } from './rendered-container.ts'

export type RenderedHostOptions = Omit<PodSurroundings, 'directory' | 'podName'> & {
  /** Default: one as a Deployment would make. */
  readonly podName?: string
  /** For volumes; a folder of its own for every pod in it. */
  readonly directory: string
  /** What the image of the private agent holds, in the mode with one. */
  readonly agentImage?: ImageRoot
}

/** The host that the chart renders, running as a process with exactly its arguments, environment, files, user and root file system. */
export interface RenderedHost extends AsyncDisposable {
  /** The private agent, in the mode with one. */
  readonly agent: ServerProcess | undefined
  readonly server: ServerProcess
  /** Where its probes and metrics are. */
  readonly healthUrl: string
  /** Runs the job of `helm test` to its end, in the same way. */
  helmTest(): Promise<RunResult>
}

/** The only container of another Deployment that the chart renders, running in the same way. */
export async function runRendered(
  component: 'console' | 'nats-callout',
  options: Omit<PodSurroundings, 'podName'>,
  isReady: (log: string) => boolean,
): Promise<ServerProcess> {
  const deployment = deploymentOf(options.objects, component)
  const podName = `${deployment.metadata.name}-5f6d8-k4j2p`
  const directory = join(options.directory, podName)
  mkdirSync(directory, { recursive: true })
  const log = startLog(`rendered-${component}`)
  return await startServerProcess({
    name: `rendered-${component}`,
    log,
    ...containerProcess(deployment, component, { ...options, podName, directory }),
    isReady: async () => isReady(log.text()),
  })
}

function deploymentOf(objects: readonly RenderedObject[], component: string): RenderedObject {
  const found = objects.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.labels?.['app.kubernetes.io/component'] === component,
  )
  if (found === undefined) throw new Error(`the chart rendered no Deployment for ${component}`)
  return found
}

/** Starts it and resolves once its rendered readiness probe is answered. @throws with the end of its log if that does not happen */
export async function runRenderedHost(options: RenderedHostOptions): Promise<RenderedHost> {
  const { objects, directory } = options
  const host = deploymentOf(objects, 'host')
  const surroundings = (podName: string) => {
    const own = join(directory, podName)
    mkdirSync(own, { recursive: true })
    return { ...options, podName, directory: own }
  }
  const healthUrl = `http://127.0.0.1:${healthPort(host)}`
  await using cleanup = new AsyncDisposableStack()
  const pod = surroundings(options.podName ?? `${host.metadata.name}-7d4b9c-x2x9v`)
  let agent: ServerProcess | undefined
  if (options.agentImage !== undefined) {
    agent = cleanup.use(
      await startServerProcess({
        name: 'rendered-agent',
        ...containerProcess(host, 'spire-agent', { ...pod, image: options.agentImage }),
        isReady: (signal) => urlAnswers('http://127.0.0.1:9982/ready', signal),
      }),
    )
  }
  const server = await startServerProcess({
    name: 'rendered-host',
    ...containerProcess(host, 'host', pod),
    isReady: (signal) => urlAnswers(`${healthUrl}${readinessPath(host)}`, signal),
  })
  cleanup.use(server)
  let tests = 0
  const owned = cleanup.move()
  return {
    agent,
    server,
    healthUrl,
    async helmTest() {
      const job = objects.find(({ kind, metadata }) => kind === 'Job' && metadata.name.endsWith('-test'))
      if (job === undefined) throw new Error('the chart rendered no job for helm test')
      const { program, args, env } = containerProcess(job, 'test', surroundings(`${job.metadata.name}-${++tests}`))
      return await runProgram(program, args, { env: { ...env }, signal: AbortSignal.timeout(120_000) })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type Pod = {
  readonly template: {
    readonly spec: {
      readonly containers: readonly {
        readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
        readonly readinessProbe: { readonly httpGet: { readonly path: string } }
      }[]
    }
  }
}

function healthPort({ spec }: RenderedObject): number {
  const ports = (spec as Pod).template.spec.containers[0]?.ports ?? []
  return ports.find(({ name }) => name === 'health')?.containerPort ?? 0
}

function readinessPath({ spec }: RenderedObject): string {
  return (spec as Pod).template.spec.containers[0]?.readinessProbe.httpGet.path ?? '/'
}
