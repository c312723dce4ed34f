import { connect, type Socket } from 'node:net'
import type { Closable, InstanceState } from '../instance-state.ts'
import { InputStream } from '../io/input-stream.ts'
import { OutputStream } from '../io/output-stream.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
import { checkBindable, checkSocketCount } from './bind-rules.ts'
import type { Network } from './network.ts'
import { type NetworkErrorCode, networkErrorOf } from './network-error-code.ts'
import {
  hostOf,
  type IpAddressFamily,
  type IpSocketAddress,
  isIpv4Mapped,
  isUnspecified,
  socketAddress,
} from './socket-address.ts'
import { TcpSink, TcpSource } from './tcp-streams.ts'

type State =
  | { readonly kind: 'unbound' }
  | { readonly kind: 'binding' | 'bound'; readonly address: IpSocketAddress }
  | { readonly kind: 'connecting' | 'connected'; readonly socket: Socket }
  | { readonly kind: 'failed'; readonly code: NetworkErrorCode }
  | { readonly kind: 'closed' }

/**
 * `wasi:sockets/tcp#tcp-socket`: connects where the {@link Network}'s policy permits, never listens. What node:net cannot do
 * (hop limit, buffer sizes, keep-alive interval and count) is `not-supported`.
 */
export class TcpSocket extends Waitable implements Closable {
  readonly #instance: InstanceState
  readonly #family: IpAddressFamily
  #state: State = { kind: 'unbound' }
  #keepAlive = false
  #keepAliveIdle = 7_200_000_000_000n
  #source: TcpSource | undefined
  #sink: TcpSink | undefined
  /** The socket itself, and its two streams once there are any: the connection lives until the last is dropped. */
  #holders = 1
  #dropped = false

  constructor(instance: InstanceState, family: IpAddressFamily) {
    super()
    checkSocketCount(instance)
    this.#instance = instance
    this.#family = family
    instance.adopt(this)
  }

  startBind(_network: Network, address: IpSocketAddress): void {
    if (this.#state.kind !== 'unbound') throw 'invalid-state'
    checkBindable(address, this.#family)
    this.#state = { kind: 'binding', address }
  }

  finishBind(): void {
    if (this.#state.kind !== 'binding') throw 'not-in-progress'
    this.#state = { kind: 'bound', address: this.#state.address }
  }

  startConnect(network: Network, remote: IpSocketAddress): void {
    if (this.#state.kind !== 'unbound' && this.#state.kind !== 'bound') throw 'invalid-state'
    if (remote.tag !== this.#family || isIpv4Mapped(remote) || isUnspecified(remote) || remote.val.port === 0) {
      throw 'invalid-argument'
    }
    network.policy.checkRemote(remote, network.granted)
    const socket = connect({
      host: hostOf(remote),
      port: remote.val.port,
      allowHalfOpen: true,
      keepAlive: this.#keepAlive,
      keepAliveInitialDelay: toMs(this.#keepAliveIdle),
    })
    this.#state = { kind: 'connecting', socket }
    socket.once('connect', () => this.wake())
    socket.on('error', (error) => {
      if (this.#state.kind !== 'connecting') return
      this.#state = { kind: 'failed', code: networkErrorOf(error) }
      this.wake()
    })
  }

  finishConnect(): [InputStream, OutputStream] {
    const state = this.#state
    if (state.kind === 'failed') {
      this.#state = { kind: 'closed' }
      throw state.code
    }
    if (state.kind !== 'connecting') throw 'not-in-progress'
    if (state.socket.connecting) throw 'would-block'
    const release = (): void => this.#release()
    this.#source = new TcpSource(state.socket, release)
    this.#sink = new TcpSink(state.socket, release)
    this.#holders += 2
    this.#state = { kind: 'connected', socket: state.socket }
    return [new InputStream(this.#instance, this.#source), new OutputStream(this.#instance, this.#sink)]
  }

  /** Guests are reached over HTTP through the host and by nothing else. */
  startListen(): void {
    throw 'access-denied'
  }

  finishListen(): void {
    throw 'not-in-progress'
  }

  accept(): [TcpSocket, InputStream, OutputStream] {
    throw 'invalid-state'
  }

  localAddress(): IpSocketAddress {
    const state = this.#state
    if (state.kind === 'bound') return state.address
    if (state.kind !== 'connected') throw 'invalid-state'
    const { localAddress, localPort } = state.socket
    if (localAddress === undefined || localPort === undefined) throw 'invalid-state'
    return socketAddress(localAddress, localPort)
  }

  remoteAddress(): IpSocketAddress {
    if (this.#state.kind !== 'connected') throw 'invalid-state'
    const { remoteAddress, remotePort } = this.#state.socket
    if (remoteAddress === undefined || remotePort === undefined) throw 'invalid-state'
    return socketAddress(remoteAddress, remotePort)
  }

  isListening(): boolean {
    return false
  }

  addressFamily(): IpAddressFamily {
    return this.#family
  }

  setListenBacklogSize(_size: bigint): void {
    throw 'not-supported'
  }

  keepAliveEnabled(): boolean {
    return this.#keepAlive
  }

  setKeepAliveEnabled(enabled: boolean): void {
    this.#keepAlive = enabled
    this.#applyKeepAlive()
  }

  keepAliveIdleTime(): bigint {
    return this.#keepAliveIdle
  }

  setKeepAliveIdleTime(duration: bigint): void {
    if (duration <= 0n) throw 'invalid-argument'
    this.#keepAliveIdle = duration
    this.#applyKeepAlive()
  }

  keepAliveInterval(): bigint {
    throw 'not-supported'
  }

  setKeepAliveInterval(_duration: bigint): void {
    throw 'not-supported'
  }

  keepAliveCount(): number {
    throw 'not-supported'
  }

  setKeepAliveCount(_count: number): void {
    throw 'not-supported'
  }

  hopLimit(): number {
    throw 'not-supported'
  }

  setHopLimit(_limit: number): void {
    throw 'not-supported'
  }

  receiveBufferSize(): bigint {
    throw 'not-supported'
  }

  setReceiveBufferSize(_size: bigint): void {
    throw 'not-supported'
  }

  sendBufferSize(): bigint {
    throw 'not-supported'
  }

  setSendBufferSize(_size: bigint): void {
    throw 'not-supported'
  }

  override ready(): boolean {
    return this.#state.kind !== 'connecting' || !this.#state.socket.connecting
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  shutdown(type: 'receive' | 'send' | 'both'): void {
    if (this.#state.kind !== 'connected') throw 'invalid-state'
    if (type !== 'send') this.#source?.stop()
    if (type !== 'receive') this.#state.socket.end()
  }

  close(): void {
    const state = this.#state
    this.#state = { kind: 'closed' }
    this.#instance.release(this)
    if (state.kind === 'connecting' || state.kind === 'connected') state.socket.destroy()
    this.wake()
  }

  [Symbol.dispose](): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#release()
  }

  #applyKeepAlive(): void {
    if (this.#state.kind !== 'connected') return
    this.#state.socket.setKeepAlive(this.#keepAlive, toMs(this.#keepAliveIdle))
  }

  #release(): void {
    if (--this.#holders > 0) return
    const state = this.#state
    // What was written may still be on its way; the end of that closes the connection.
    if (state.kind !== 'connected' || state.socket.destroyed || state.socket.writableFinished) {
      this.close()
      return
    }
    state.socket.resume()
    state.socket.once('finish', () => this.close())
  }
}

function toMs(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000_000n)
}
