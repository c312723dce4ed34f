import { HeraldError } from '../../errors/herald-error.ts'
import type { Refusal } from '../http/http-client.ts'
import type { AddressPolicy } from '../network/address-policy.ts'
import type { ResolvedAddress, ResolveName } from '../network/guarded-lookup.ts'
import { formatIp, parseIp } from '../network/ip-address.ts'
import { bytesOf, type IpSocketAddress } from './socket-address.ts'

/** Addresses one instance may collect by looking names up. */
const maxGranted = 4_096

type Options = {
  readonly allowedIpNameLookups: readonly string[]
  readonly policy: AddressPolicy
  readonly resolve: ResolveName
  readonly onRefusal: (refusal: Refusal) => void
}

/**
 * What the sockets of one component may do. Nothing, unless its manifest says so:
 * - a name may be looked up when `allowedIpNameLookups` lists it: exactly, as `*.example.com` (any name below), or `*`;
 * - a socket may connect or send to an address only when a lookup by the same instance returned it, or when it is the host's loopback
 *   interface and the port is one of `allowedHostLoopbackPorts`; it receives datagrams from nobody else;
 * - metadata and other denied addresses are left out of every answer and refused in any case;
 * - sockets may not listen, and bind only to "any address, any port".
 */
export class SocketPolicy {
  readonly #names: readonly string[]
  readonly #options: Options

  /** @throws ERR_NETWORK_POLICY_INVALID */
  constructor(options: Options) {
    this.#names = options.allowedIpNameLookups.map(parseName)
    this.#options = options
  }

  /** @throws 'access-denied' */
  checkName(name: string): void {
    const wanted = canonicalName(name)
    for (const allowed of this.#names) {
      if (allowed === '*' || allowed === wanted) return
      if (allowed.startsWith('*.') && wanted.endsWith(allowed.slice(1)) && wanted.length > allowed.length - 1) return
    }
    this.#options.onRefusal({ target: wanted, reason: 'it is not among the allowedIpNameLookups' })
    throw 'access-denied'
  }

  /** The addresses of `name` that the guest may know, also in `granted`. Call `checkName` first. */
  async resolve(name: string, granted: Set<string>): Promise<ResolvedAddress[]> {
    const literal = parseIp(name)
    const found: readonly ResolvedAddress[] =
      literal === undefined
        ? await this.#options.resolve(name)
        : [{ address: formatIp(literal), family: literal.length === 4 ? 4 : 6 }]
    const usable = found.filter(({ address }) => this.#usable(name, address))
    for (const { address } of usable) {
      const bytes = parseIp(address)
      if (bytes !== undefined && granted.size < maxGranted) granted.add(formatIp(bytes))
    }
    return usable
  }

  /** @throws 'access-denied' */
  checkRemote(address: IpSocketAddress, granted: ReadonlySet<string>): void {
    const { policy } = this.#options
    const bytes = bytesOf(address)
    const { port } = address.val
    const refusal = policy.refusal(bytes, port) ?? this.#withoutGrant(address, granted)
    if (refusal === undefined) return
    this.#options.onRefusal({ target: `${formatIp(bytes)} port ${port}`, reason: refusal })
    throw 'access-denied'
  }

  /** Whether a datagram from there is let through; silent. */
  mayReceive(address: IpSocketAddress, granted: ReadonlySet<string>): boolean {
    return (
      this.#options.policy.refusal(bytesOf(address), address.val.port) === undefined &&
      this.#withoutGrant(address, granted) === undefined
    )
  }

  #withoutGrant(address: IpSocketAddress, granted: ReadonlySet<string>): string | undefined {
    const bytes = bytesOf(address)
    if (this.#options.policy.isLoopback(bytes)) {
      return this.#options.policy.loopbackPortAllowed(address.val.port)
        ? undefined
        : 'the port is not among the allowedHostLoopbackPorts'
    }
    return granted.has(formatIp(bytes)) ? undefined : 'no allowed name resolved to it'
  }

  #usable(name: string, address: string): boolean {
    const bytes = parseIp(address)
    // Port 0 stands for any: an address denied as a whole is not shown, one denied on a port is refused at connect.
    const refusal = bytes === undefined ? 'an address that cannot be read' : this.#options.policy.refusal(bytes, 0)
    if (refusal !== undefined) this.#options.onRefusal({ target: name, reason: `it resolves to ${refusal}` })
    return refusal === undefined
  }
}

function parseName(entry: string): string {
  const name = canonicalName(entry.trim())
  if (name === '*' || parseIp(name) !== undefined) return name
  if (!/^(?:\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(name)) {
    throw new HeraldError('ERR_NETWORK_POLICY_INVALID', `allowedIpNameLookups: "${entry}" is no host name`, {
      hint: 'write db.example.com, *.example.com or *',
    })
  }
  return name
}

function canonicalName(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}
