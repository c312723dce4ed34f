import type { InstanceState } from '../instance-state.ts'
import { Pollable } from '../io/pollable.ts'
import { Waitable } from '../io/waitable.ts'
import type { Network } from './network.ts'
import { type NetworkErrorCode, networkErrorOf } from './network-error-code.ts'
import { type IpAddress, ipAddress } from './socket-address.ts'

/** `wasi:sockets/ip-name-lookup#resolve-addresses`. @throws NetworkErrorCode */
export function resolveAddresses(instance: InstanceState, network: Network, name: string): ResolveAddressStream {
  if (!/^[A-Za-z0-9._:-]{1,253}$/.test(name)) throw 'invalid-argument'
  network.policy.checkName(name)
  return new ResolveAddressStream(instance, network, name)
}

/** `wasi:sockets/ip-name-lookup#resolve-address-stream`. */
export class ResolveAddressStream extends Waitable {
  readonly #instance: InstanceState
  #found: IpAddress[] | undefined
  #error: NetworkErrorCode | undefined

  constructor(instance: InstanceState, network: Network, name: string) {
    super()
    this.#instance = instance
    network.policy.resolve(name, network.granted).then(
      (addresses) => {
        if (addresses.length === 0) this.#error = 'name-unresolvable'
        else this.#found = addresses.map(({ address }) => ipAddress(address))
        this.wake()
      },
      (error) => {
        this.#error = networkErrorOf(error)
        this.wake()
      },
    )
  }

  override ready(): boolean {
    return this.#found !== undefined || this.#error !== undefined
  }

  /** undefined at the end. */
  resolveNextAddress(): IpAddress | undefined {
    this.#instance.throwIfEnded()
    if (this.#error !== undefined) throw this.#error
    if (this.#found === undefined) throw 'would-block'
    return this.#found.shift()
  }

  subscribe(): Pollable {
    return new Pollable(this.#instance, this)
  }

  [Symbol.dispose](): void {}
}
