import { HeraldError } from '../../errors/herald-error.ts'
import { embeddedIpv4, type IpBytes, type IpRange, inRange, isLoopback, parseIp, parseIpRange } from './ip-address.ts'

/**
 * No guest reaches these, whatever its manifest allows: link-local addresses (where clouds and container runtimes serve metadata and
 * credentials: 169.254.169.254, 169.254.170.2, 169.254.170.23), the clouds' other metadata addresses, "this network",
 * multicast and broadcast.
 */
const alwaysDenied: readonly IpRange[] = [
  '0.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200', // Alibaba Cloud
  '168.63.129.16', // Azure WireServer
  '192.0.0.192', // Oracle Cloud
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::/32', // AWS: metadata fd00:ec2::254, container credentials fd00:ec2::23
  'fd20:ce::254', // Google Cloud
].map((text) => parseIpRange(text) as IpRange)

type DeniedEndpoint = { readonly range: IpRange; readonly port: number | undefined }

/** Where no guest of this host may connect, by IP address and port; names never get here. */
export class AddressPolicy {
  readonly #denied: readonly DeniedEndpoint[]
  readonly #loopbackPorts: readonly (readonly [first: number, last: number])[]

  /**
   * @param deniedAddresses `IP`, `IP/prefix`, `IP:port` or `[IPv6]:port`; absolute paths are none of this class's business
   * @param loopbackPorts ports of the host's own loopback interface that the guest may reach: `8080`, `8000-8010`
   * @throws ERR_NETWORK_POLICY_INVALID
   */
  constructor(deniedAddresses: readonly string[], loopbackPorts: readonly string[]) {
    this.#denied = deniedAddresses.filter((entry) => !entry.startsWith('/')).map(parseDenied)
    this.#loopbackPorts = loopbackPorts.map(parsePorts)
  }

  /** Why the endpoint is out of reach for every guest, or undefined. Says nothing about loopback. */
  refusal(address: IpBytes, port: number): string | undefined {
    for (const bytes of [address, embeddedIpv4(address, 'any')]) {
      if (bytes === undefined) continue
      if (alwaysDenied.some((range) => inRange(bytes, range))) return 'a link-local, metadata or multicast address'
      for (const denied of this.#denied) {
        if (inRange(bytes, denied.range) && (denied.port ?? port) === port)
          return 'an address this host denies to guests'
      }
    }
    return undefined
  }

  /** True when reaching `address` is reaching the host's own loopback interface. */
  isLoopback(address: IpBytes): boolean {
    const inner = embeddedIpv4(address, 'any')
    return isLoopback(address) || (inner !== undefined && isLoopback(inner))
  }

  loopbackPortAllowed(port: number): boolean {
    return this.#loopbackPorts.some(([first, last]) => port >= first && port <= last)
  }
}

function parseDenied(entry: string): DeniedEndpoint {
  const range = parseIpRange(entry)
  if (range !== undefined) return { range, port: undefined }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+)):(\d{1,5})$/.exec(entry)
  const bytes = match === null ? undefined : parseIp(match[1] ?? match[2] ?? '')
  if (match === null || bytes === undefined) {
    throw invalid(`denied address "${entry}" is no IP address, range or address with port`)
  }
  return { range: { bytes, prefix: bytes.length * 8 }, port: Number(match[3]) }
}

function parsePorts(entry: string): readonly [number, number] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(entry.trim())
  const first = Number(match?.[1])
  const last = match?.[2] === undefined ? first : Number(match[2])
  if (match === null || first < 1 || last > 65_535 || first > last) {
    throw invalid(`allowedHostLoopbackPorts: "${entry}" is no port or range of ports`)
  }
  return [first, last]
}

function invalid(message: string): HeraldError {
  return new HeraldError('ERR_NETWORK_POLICY_INVALID', message, { hint: 'correct the entry in localResources' })
}
