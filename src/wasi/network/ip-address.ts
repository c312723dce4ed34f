import { isIPv4, isIPv6 } from 'node:net'

/** An address as bytes in network order: 4 (also for IPv4 written inside IPv6) or 16. */
export type IpBytes = Uint8Array

/** `undefined` when `text` is no IP address literal (a zone is not accepted). IPv4-mapped IPv6 addresses come back as IPv4. */
export function parseIp(text: string): IpBytes | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.').map(Number))
  if (!isIPv6(text) || text.includes('%')) return undefined
  return unmapped(parseIpv6(text))
}

function parseIpv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::')
  const front = wordsOf(head)
  const back = tail === undefined ? [] : wordsOf(tail)
  const words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}

function wordsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

/** The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056); else the address itself. */
export function unmapped(bytes: IpBytes): IpBytes {
  return embeddedIpv4(bytes, 'mapped') ?? bytes
}

/** @param kinds `mapped`: only ::ffff:0:0/96, the same address in other clothes; `any`: every way to reach an IPv4 host */
export function embeddedIpv4(bytes: IpBytes, kinds: 'mapped' | 'any'): IpBytes | undefined {
  if (bytes.length !== 16) return undefined
  const zeroUntil = bytes.findIndex((byte) => byte !== 0)
  if (zeroUntil === 10 && bytes[10] === 0xff && bytes[11] === 0xff) return bytes.slice(12)
  if (kinds === 'mapped') return undefined
  // ::1 and :: are not compatible addresses but themselves.
  if (zeroUntil === 12 || zeroUntil === 13) return bytes.slice(12)
  if (bytes[0] === 0 && bytes[1] === 0x64 && bytes[2] === 0xff && bytes[3] === 0x9b) return bytes.slice(12)
  if (bytes[0] === 0x20 && bytes[1] === 0x02) return bytes.slice(2, 6)
  return undefined
}

/** Canonical text; IPv6 without compression. */
export function formatIp(bytes: IpBytes): string {
  if (bytes.length === 4) return bytes.join('.')
  const words: string[] = []
  for (let index = 0; index < 16; index += 2) {
    words.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16))
  }
  return words.join(':')
}

export type IpRange = { readonly bytes: IpBytes; readonly prefix: number }

/** `10.0.0.0/8`, or an address alone. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', prefixText, more] = text.split('/')
  const bytes = parseIp(address)
  if (bytes === undefined || more !== undefined) return undefined
  const bits = bytes.length * 8
  if (prefixText === undefined) return { bytes, prefix: bits }
  if (!/^\d{1,3}$/.test(prefixText) || Number(prefixText) > bits) return undefined
  return { bytes, prefix: Number(prefixText) }
}

export function inRange(bytes: IpBytes, range: IpRange): boolean {
  if (bytes.length !== range.bytes.length) return false
  const whole = range.prefix >> 3
  for (let index = 0; index < whole; index++) if (bytes[index] !== range.bytes[index]) return false
  const rest = range.prefix & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((bytes[whole] ?? 0) & mask) === ((range.bytes[whole] ?? 0) & mask)
}

const loopbackRanges = [
  { bytes: Uint8Array.from([127, 0, 0, 0]), prefix: 8 },
  { bytes: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), prefix: 128 },
]

export function isLoopback(bytes: IpBytes): boolean {
  return loopbackRanges.some((range) => inRange(bytes, range))
}
