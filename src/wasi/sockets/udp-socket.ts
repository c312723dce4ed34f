import { createSocket, type Socket } from 'node:dgram'
import type { Closable, InstanceState } from '../instance-state.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
import { checkBindable, checkSocketCount } from './bind-rules.ts'
import { IncomingDatagramStream, OutgoingDatagramStream } from './datagram-streams.ts'
import type { Network } from './network.ts'
import { type NetworkErrorCode, networkErrorOf } from './network-error-code.ts'
import {
  type IpAddressFamily,
  type IpSocketAddress,
  isIpv4Mapped,
  isUnspecified,
  socketAddress,
} from './socket-address.ts'

type State =
  | { readonly kind: 'unbound' }
  | { readonly kind: 'binding' | 'bound'; readonly socket: Socket; readonly network: Network }
  | { readonly kind: 'failed'; readonly code: NetworkErrorCode }
  | { readonly kind: 'closed' }

/** `wasi:sockets/udp#udp-socket`: talks to where the {@link Network}'s policy permits; binds to any address, any port. */
export class UdpSocket extends Waitable implements Closable {
  readonly #instance: InstanceState
  readonly #family: IpAddressFamily
  #state: State = { kind: 'unbound' }
  #remote: IpSocketAddress | undefined
  #streams: (IncomingDatagramStream | OutgoingDatagramStream)[] = []

  constructor(instance: InstanceState, family: IpAddressFamily) {
    super()
    checkSocketCount(instance)
    this.#instance = instance
    this.#family = family
    instance.adopt(this)
  }

  startBind(network: Network, address: IpSocketAddress): void {
    if (this.#state.kind !== 'unbound') throw 'invalid-state'
    checkBindable(address, this.#family)
    const socket = createSocket({ type: this.#family === 'ipv4' ? 'udp4' : 'udp6', ipv6Only: this.#family === 'ipv6' })
    this.#state = { kind: 'binding', socket, network }
    socket.on('error', (error) => {
      if (this.#state.kind === 'binding') this.#state = { kind: 'failed', code: networkErrorOf(error) }
      this.wake()
    })
    socket.bind(0, () => {
      if (this.#state.kind !== 'binding') return
      this.#state = { kind: 'bound', socket, network }
      this.wake()
    })
  }

  finishBind(): void {
    const state = this.#state
    if (state.kind === 'failed') {
      this.#state = { kind: 'closed' }
      throw state.code
    }
    if (state.kind === 'binding') throw 'would-block'
    if (state.kind !== 'bound') throw 'not-in-progress'
  }

  stream(remote: IpSocketAddress | undefined): [IncomingDatagramStream, OutgoingDatagramStream] {
    const { socket, network } = this.#bound()
    if (remote !== undefined) {
      if (remote.tag !== this.#family || isIpv4Mapped(remote) || isUnspecified(remote) || remote.val.port === 0) {
        throw 'invalid-argument'
      }
      network.policy.checkRemote(remote, network.granted)
    }
    for (const stream of this.#streams) stream.close()
    this.#remote = remote
    const incoming = new IncomingDatagramStream(this.#instance, socket, network, remote)
    const outgoing = new OutgoingDatagramStream(this.#instance, socket, network, this.#family, remote)
    this.#streams = [incoming, outgoing]
    return [incoming, outgoing]
  }

  localAddress(): IpSocketAddress {
    const { address, port } = this.#bound().socket.address()
    return socketAddress(address, port)
  }

  remoteAddress(): IpSocketAddress {
    if (this.#remote === undefined) throw 'invalid-state'
    return this.#remote
  }

  addressFamily(): IpAddressFamily {
    return this.#family
  }

  /** node:dgram can set it and not tell it. */
  unicastHopLimit(): number {
    throw 'not-supported'
  }

  setUnicastHopLimit(limit: number): void {
    if (limit < 1) throw 'invalid-argument'
    this.#bound().socket.setTTL(limit)
  }

  receiveBufferSize(): bigint {
    return BigInt(this.#bound().socket.getRecvBufferSize())
  }

  setReceiveBufferSize(size: bigint): void {
    this.#bound().socket.setRecvBufferSize(bufferSize(size))
  }

  sendBufferSize(): bigint {
    return BigInt(this.#bound().socket.getSendBufferSize())
  }

  setSendBufferSize(size: bigint): void {
    this.#bound().socket.setSendBufferSize(bufferSize(size))
  }

  override ready(): boolean {
    return this.#state.kind !== 'binding'
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  close(): void {
    const state = this.#state
    if (state.kind === 'closed') return
    this.#state = { kind: 'closed' }
    this.#instance.release(this)
    for (const stream of this.#streams) stream.close()
    if (state.kind === 'binding' || state.kind === 'bound') state.socket.close()
    this.wake()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #bound(): { readonly socket: Socket; readonly network: Network } {
    if (this.#state.kind !== 'bound') throw 'invalid-state'
    return this.#state
  }
}

/** The kernel takes what is within its own limits; a megabyte is enough for anybody here. */
function bufferSize(size: bigint): number {
  if (size === 0n) throw 'invalid-argument'
  return size > 1_048_576n ? 1_048_576 : Number(size)
}
