import type { RemoteInfo, Socket } from 'node:dgram'
import type { InstanceState } from '../instance-state.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
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

/** Datagrams kept for a guest that does not fetch them; more are dropped, as a network would. */
const maxQueued = 256
const maxQueuedBytes = 1 << 20
/** Datagrams on their way to the kernel. */
const maxInFlight = 16
const maxDatagramBytes = 65_507

export type IncomingDatagram = { readonly data: Uint8Array; readonly remoteAddress: IpSocketAddress }
export type OutgoingDatagram = { readonly data: Uint8Array; readonly remoteAddress: IpSocketAddress | undefined }

/** `wasi:sockets/udp#incoming-datagram-stream`: from allowed senders only. */
export class IncomingDatagramStream extends Waitable {
  readonly #instance: InstanceState
  readonly #socket: Socket
  readonly #queue: IncomingDatagram[] = []
  readonly #onMessage: (data: Uint8Array, from: RemoteInfo) => void
  #queuedBytes = 0
  #open = true

  constructor(instance: InstanceState, socket: Socket, network: Network, only: IpSocketAddress | undefined) {
    super()
    this.#instance = instance
    this.#socket = socket
    this.#onMessage = (data, from) => {
      if (this.#queue.length >= maxQueued || this.#queuedBytes + data.length > maxQueuedBytes) return
      const remoteAddress = socketAddress(from.address.split('%')[0] ?? '', from.port)
      if (only !== undefined && (hostOf(only) !== hostOf(remoteAddress) || only.val.port !== from.port)) return
      if (!network.policy.mayReceive(remoteAddress, network.granted)) return
      this.#queue.push({ data, remoteAddress })
      this.#queuedBytes += data.length
      this.wake()
    }
    socket.on('message', this.#onMessage)
  }

  override ready(): boolean {
    return this.#queue.length > 0 || !this.#open
  }

  receive(maxResults: bigint): IncomingDatagram[] {
    this.#instance.throwIfEnded()
    if (!this.#open) throw 'invalid-state'
    const taken = this.#queue.splice(0, maxResults > BigInt(maxQueued) ? maxQueued : Number(maxResults))
    for (const { data } of taken) this.#queuedBytes -= data.length
    return taken
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#socket.off('message', this.#onMessage)
    this.wake()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** `wasi:sockets/udp#outgoing-datagram-stream`. */
export class OutgoingDatagramStream extends Waitable {
  readonly #instance: InstanceState
  readonly #socket: Socket
  readonly #network: Network
  readonly #family: IpAddressFamily
  readonly #remote: IpSocketAddress | undefined
  #inFlight = 0
  #permit = 0
  #failure: NetworkErrorCode | undefined
  #open = true

  constructor(
    instance: InstanceState,
    socket: Socket,
    network: Network,
    family: IpAddressFamily,
    remote: IpSocketAddress | undefined,
  ) {
    super()
    this.#instance = instance
    this.#socket = socket
    this.#network = network
    this.#family = family
    this.#remote = remote
  }

  override ready(): boolean {
    return !this.#open || this.#failure !== undefined || this.#inFlight < maxInFlight
  }

  checkSend(): bigint {
    this.#check()
    this.#permit = maxInFlight - this.#inFlight
    return BigInt(this.#permit)
  }

  /**
   * @returns how many were sent before one could not be; the first that cannot is an error when it is the first of the list
   * @throws Error (a trap) for more than `check-send` has permitted, as the interface demands
   */
  send(datagrams: readonly OutgoingDatagram[]): bigint {
    this.#check()
    if (datagrams.length > this.#permit)
      throw new Error('wasi:sockets/udp: more was sent than check-send had permitted')
    let sent = 0
    for (const datagram of datagrams) {
      try {
        this.#sendOne(datagram)
      } catch (error) {
        if (sent === 0) throw error
        break
      }
      sent++
    }
    this.#permit -= sent
    return BigInt(sent)
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.wake()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #sendOne({ data, remoteAddress }: OutgoingDatagram): void {
    const target = remoteAddress ?? this.#remote
    if (target === undefined) throw 'invalid-argument'
    if (
      this.#remote !== undefined &&
      (hostOf(target) !== hostOf(this.#remote) || target.val.port !== this.#remote.val.port)
    ) {
      throw 'invalid-argument'
    }
    if (target.tag !== this.#family || isIpv4Mapped(target) || isUnspecified(target) || target.val.port === 0) {
      throw 'invalid-argument'
    }
    if (data.length > maxDatagramBytes) throw 'datagram-too-large'
    this.#network.policy.checkRemote(target, this.#network.granted)
    this.#inFlight++
    this.#socket.send(data, target.val.port, hostOf(target), (error) => {
      this.#inFlight--
      if (error !== null) this.#failure ??= networkErrorOf(error)
      this.wake()
    })
  }

  #check(): void {
    this.#instance.throwIfEnded()
    if (!this.#open) throw 'invalid-state'
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }
}
