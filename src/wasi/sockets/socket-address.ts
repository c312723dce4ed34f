import { formatIp, type IpBytes, parseIp } from '../network/ip-address.ts'

export type IpAddressFamily = 'ipv4' | 'ipv6'
type Ipv6Words = readonly [number, number, number, number, number, number, number, number]

/** `wasi:sockets/network#ip-address`. */
export type IpAddress =
  | { readonly tag: 'ipv4'; readonly val: readonly [number, number, number, number] }
  | { readonly tag: 'ipv6'; readonly val: Ipv6Words }

/** `wasi:sockets/network#ip-socket-address`. */
export type IpSocketAddress =
  | {
      readonly tag: 'ipv4'
      readonly val: { readonly port: number; readonly address: readonly [number, number, number, number] }
    }
  | {
      readonly tag: 'ipv6'
      readonly val: {
        readonly port: number
        readonly flowInfo: number
        readonly address: Ipv6Words
        readonly scopeId: number
      }
    }

export function bytesOf(address: IpSocketAddress): IpBytes {
  if (address.tag === 'ipv4') return Uint8Array.from(address.val.address)
  return Uint8Array.from(address.val.address.flatMap((word) => [word >> 8, word & 0xff]))
}

/** Text as node:net takes it. */
export function hostOf(address: IpSocketAddress): string {
  return formatIp(bytesOf(address))
}

export function isUnspecified(address: IpSocketAddress): boolean {
  return bytesOf(address).every((byte) => byte === 0)
}

/** An IPv4 address written inside an IPv6 one: WASI's sockets are never dual-stack. */
export function isIpv4Mapped(address: IpSocketAddress): boolean {
  if (address.tag === 'ipv4') return false
  const words = address.val.address
  return words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff
}

/** From node's text. @throws Error when it is no address */
export function socketAddress(host: string, port: number): IpSocketAddress {
  const address = ipAddress(host)
  if (address.tag === 'ipv4') return { tag: 'ipv4', val: { port, address: address.val } }
  return { tag: 'ipv6', val: { port, flowInfo: 0, address: address.val, scopeId: 0 } }
}

/** @throws Error when `host` is no address */
export function ipAddress(host: string): IpAddress {
  const bytes = parseIp(host)
  if (bytes === undefined) throw new Error('not an IP address')
  const at = (index: number): number => bytes[index] ?? 0
  if (bytes.length === 4) return { tag: 'ipv4', val: [at(0), at(1), at(2), at(3)] }
  const word = (index: number): number => (at(index * 2) << 8) | at(index * 2 + 1)
  return { tag: 'ipv6', val: [word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7)] }
}
