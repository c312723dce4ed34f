import { type InstanceState, maxOpenPerInstance } from '../instance-state.ts'
import { type IpAddressFamily, type IpSocketAddress, isIpv4Mapped, isUnspecified } from './socket-address.ts'

/** @throws 'new-socket-limit' */
export function checkSocketCount(instance: InstanceState): void {
  if (instance.openCount >= maxOpenPerInstance) throw 'new-socket-limit'
}

/** A guest may let the host choose address and port, nothing else. @throws NetworkErrorCode */
export function checkBindable(address: IpSocketAddress, family: IpAddressFamily): void {
  if (address.tag !== family || isIpv4Mapped(address)) throw 'invalid-argument'
  if (!isUnspecified(address) || address.val.port !== 0) throw 'access-denied'
}
