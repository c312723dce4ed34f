import type { InstanceState } from '../instance-state.ts'
import { IncomingDatagramStream, OutgoingDatagramStream } from './datagram-streams.ts'
import { Network } from './network.ts'
import { networkErrorCode } from './network-error-code.ts'
import { ResolveAddressStream, resolveAddresses } from './resolve-address-stream.ts'
import type { IpAddressFamily } from './socket-address.ts'
import type { SocketPolicy } from './socket-policy.ts'
import { TcpSocket } from './tcp-socket.ts'
import { UdpSocket } from './udp-socket.ts'

/** The `wasi:sockets` imports of one instance. */
export function socketsOfInstance(instance: InstanceState, policy: SocketPolicy): Record<string, object> {
  let granted: Set<string> | undefined
  return {
    ...shared,
    'wasi:sockets/instance-network': {
      instanceNetwork: () => {
        granted ??= new Set()
        return new Network(policy, granted)
      },
    },
    'wasi:sockets/ip-name-lookup': {
      ResolveAddressStream,
      resolveAddresses: (network: Network, name: string) => resolveAddresses(instance, network, name),
    },
    'wasi:sockets/tcp-create-socket': {
      createTcpSocket: (family: IpAddressFamily) => new TcpSocket(instance, family),
    },
    'wasi:sockets/udp-create-socket': {
      createUdpSocket: (family: IpAddressFamily) => new UdpSocket(instance, family),
    },
  }
}

const shared = {
  'wasi:sockets/network': { Network, networkErrorCode },
  'wasi:sockets/tcp': { TcpSocket },
  'wasi:sockets/udp': { UdpSocket, IncomingDatagramStream, OutgoingDatagramStream },
}
