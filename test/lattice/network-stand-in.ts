import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** Which bytes get through: all, none, or only those from the client to the server. */
export type Passing = 'all' | 'none' | 'to-server'

/**
 * A stand-in for the network between one client and one server: a TCP proxy that can hold what passes. What it holds is not lost, as TCP has it,
 * and nobody is told; a connection that is made meanwhile is accepted and stays silent.
 */
export interface NetworkStandIn extends AsyncDisposable {
  readonly url: string
  /** What is held passes as soon as it may again. */
  pass(passing: Passing): void
}

export async function startNetworkStandIn(serverUrl: string): Promise<NetworkStandIn> {
  const { hostname, port } = new URL(serverUrl)
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket }>()
  let passing: Passing = 'all'
  const apply = ({ client, server }: { client: Socket; server: Socket }) => {
    if (passing === 'none') client.pause()
    else client.resume()
    if (passing === 'all') server.resume()
    else server.pause()
  }
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    const pair = { client, server }
    pairs.add(pair)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (bytes) => void to.write(bytes))
      from.on('error', () => {})
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
    }
    apply(pair)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    url: `nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    pass(next) {
      passing = next
      for (const pair of pairs) apply(pair)
    },
    async [Symbol.asyncDispose]() {
      for (const { client, server } of pairs) {
        client.destroy()
        server.destroy()
      }
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
