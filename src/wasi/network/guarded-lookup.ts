import { lookup as dnsLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { AddressPolicy } from './address-policy.ts'
import type { Origin } from './allowed-hosts.ts'
import { type IpBytes, parseIp } from './ip-address.ts'

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 }

/** All addresses of a name. @throws an error with a `code` such as ENOTFOUND */
export type ResolveName = (name: string) => Promise<readonly ResolvedAddress[]>

/** By the operating system's resolver, so that /etc/hosts and the search list count. */
export const resolveBySystem: ResolveName = (name) =>
  new Promise((resolve, reject) => {
    dnsLookup(name, { all: true, verbatim: true }, (error, addresses) => {
      if (error !== null) reject(error)
      else resolve(addresses.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 })))
    })
  })

/** An address that policy forbids; the message is for the host's log, not for the guest. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
  readonly code = 'ERR_ADDRESS_REFUSED'
}

/**
 * Why a connection to `address` for `origin` is refused, or undefined. Loopback is the host itself: only for an origin that says so
 * (`localhost` or the address, named exactly in `allowedHosts`) or for a port of `allowedHostLoopbackPorts`.
 */
export function addressRefusal(
  policy: AddressPolicy,
  origin: Origin,
  match: 'exact' | 'wildcard',
  address: IpBytes,
): string | undefined {
  const refusal = policy.refusal(address, origin.port)
  if (refusal !== undefined) return refusal
  if (!policy.isLoopback(address) || policy.loopbackPortAllowed(origin.port)) return undefined
  const saysLoopback = parseIp(origin.host) !== undefined || /(^|\.)localhost$/.test(origin.host)
  return match === 'exact' && saysLoopback ? undefined : "the host's own loopback interface"
}

/**
 * The `lookup` of one connection: resolves once, and refuses the name as a whole when any of its addresses is forbidden. What it returns is
 * what is connected to, so a name that changes its mind (DNS rebinding) gains nothing.
 */
export function guardedLookup(
  resolve: ResolveName,
  refusalOf: (address: IpBytes) => string | undefined,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        for (const { address } of addresses) {
          const bytes = parseIp(address)
          const refusal = bytes === undefined ? 'an address that cannot be read' : refusalOf(bytes)
          if (refusal !== undefined) {
            callback(new AddressRefused(`${hostname} resolves to ${refusal}`), '')
            return
          }
        }
        const wanted = addresses.filter(({ family }) => !isFamily(options.family) || family === options.family)
        const first = wanted[0]
        if (first === undefined) {
          callback(Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '')
        } else if (options.all === true) callback(null, [...wanted])
        else callback(null, first.address, first.family)
      },
      (error) => callback(error, ''),
    )
  }
}

function isFamily(family: unknown): boolean {
  return family === 4 || family === 6
}
