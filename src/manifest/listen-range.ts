import { isIP, isIPv6 } from 'node:net'

/** Ports of one address, or of all addresses. */
export type ListenRange = {
  /** An IP address as the system writes it; `0.0.0.0`: all of them, IPv6 as well. */
  readonly host: string
  readonly firstPort: number
  readonly lastPort: number
}

/**
 * `8080` or `8000-8099` (on 127.0.0.1), `ADDRESS:8080`, `[::1]:8080`, `:8080` (all addresses), each of them with one port or a range from 1 to 65535;
 * `undefined` for anything else. Names are none: who they are is for others to say.
 */
export function parseListenRange(text: string): ListenRange | undefined {
  const pattern = /^(?:(?<host>[\d.]*|\[[\da-f:.]{2,45}\]):)?(?<first>[1-9]\d{0,4})(?:-(?<last>[1-9]\d{0,4}))?$/i
  const { host, first, last = first } = pattern.exec(text)?.groups ?? {}
  const [firstPort, lastPort] = [Number(first), Number(last)]
  if (!(firstPort <= lastPort && lastPort <= 65_535)) return undefined
  const address = addressOf(host)
  return address === undefined ? undefined : { host: address, firstPort, lastPort }
}

function addressOf(host: string | undefined): string | undefined {
  if (host === undefined) return '127.0.0.1'
  if (host === '') return '0.0.0.0'
  const bare = host.replace(/^\[|\]$/g, '')
  if (isIP(bare) === 0) return undefined
  // Each address has one way to be written, so that two can be compared.
  return isIPv6(bare) ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare
}

export const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::'

/** Whether all of `asked` is within `range`. */
export function coversListen(range: ListenRange, asked: ListenRange): boolean {
  const sameHost = range.host === asked.host || isWildcard(range.host)
  return sameHost && range.firstPort <= asked.firstPort && asked.lastPort <= range.lastPort
}

/** `127.0.0.1:8080`, `[::1]:8000-8099`. */
export function listenRangeText({ host, firstPort, lastPort }: ListenRange): string {
  const ports = firstPort === lastPort ? `${firstPort}` : `${firstPort}-${lastPort}`
  return `${isIPv6(host) ? `[${host}]` : host}:${ports}`
}
