import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { freePort } from '../support/free-port.ts'
import type { Kubernetes } from '../support/kubernetes.ts'
import { socketAccepts } from '../support/reachable.ts'
import { startServerProcess } from '../support/server-process.ts'
import type { NewEntry } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A real SPIRE server that knows agents by the pods they run in, as docs/kubernetes/spire.md configures it for private agents. */
export interface SpireServerForPods extends AsyncDisposable {
  /** Of its API, on 127.0.0.1. */
  readonly port: number
  /** PEM, for agents. */
  bundle(): Promise<string>
  createEntry(entry: NewEntry): Promise<string>
  logs(): string
}

export async function startSpireServerForPods(
  kubernetes: Kubernetes,
  { cluster, account }: { cluster: string; account: string },
): Promise<SpireServerForPods> {
  const program = join(await buildServer('spire'), 'spire-server')
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const port = await freePort()
  const socketPath = join(directory, 'api.sock')
  const config = join(directory, 'server.conf')
  mkdirSync(join(directory, 'data'))
  writeFileSync(
    config,
    `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  trust_domain = "example.org"
  socket_path = "${socketPath}"
  data_dir = "${directory}/data"
  log_level = "DEBUG"
  experimental { cache_reload_interval = "100ms" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${directory}/data/datastore.sqlite3" } }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "k8s_psat" {
    plugin_data {
      clusters = {
        "${cluster}" = {
          service_account_allow_list = ["${account}"]
          use_pod_uid_for_agent_id = true
          kube_config_file = "${kubernetes.kubeconfigPath}"
        }
      }
    }
  }
}
`,
  )
  const server = cleanup.use(
    await startServerProcess({
      name: 'spire-server-for-pods',
      program,
      args: ['run', '-config', config],
      isReady: () => socketAccepts(socketPath),
    }),
  )
  const run = async (...args: readonly string[]) => {
    const result = await runProgram(program, [...args, '-socketPath', socketPath])
    if (result.exitCode !== 0) throw new Error(`spire-server ${args[0]} ${args[1]} failed: ${result.output.trim()}`)
    return result.stdout
  }
  const owned = cleanup.move()
  return {
    port,
    bundle: () => run('bundle', 'show', '-format', 'pem'),
    async createEntry({ spiffeId, parentId, selectors }) {
      if (parentId === undefined) throw new Error('an entry needs its parent here')
      return await run(
        ...[
          'entry',
          'create',
          '-spiffeID',
          spiffeId,
          ...(parentId.endsWith('/spire/server') ? ['-node'] : ['-parentID', parentId]),
        ],
        ...selectors.flatMap((selector) => ['-selector', selector]),
      )
    },
    logs: () => server.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
