import { BlockList, isIP } from 'node:net'

/** `localhost`, 127.0.0.0/8 and ::1, with or without a port; the only hosts spoken to over plain HTTP unasked. */
export function isLoopbackHost(host: string): boolean {
  const name = bareHost(host)
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

// Where cloud metadata services and this machine's own services answer.
const local = new BlockList()
local.addSubnet('127.0.0.0', 8, 'ipv4')
local.addSubnet('0.0.0.0', 8, 'ipv4')
local.addSubnet('169.254.0.0', 16, 'ipv4')
local.addAddress('::1', 'ipv6')
local.addAddress('::', 'ipv6')
local.addSubnet('fe80::', 10, 'ipv6')
local.addSubnet('fd00:ec2::', 32, 'ipv6')

/** A literal loopback, link-local or metadata address: no registry from elsewhere may send this host there. Names are not resolved. */
export function isLocalAddress(host: string): boolean {
  const name = bareHost(host)
  if (name === 'localhost' || name.endsWith('.localhost') || name === 'metadata.google.internal') return true
  const family = isIP(name)
  return family !== 0 && local.check(name, family === 4 ? 'ipv4' : 'ipv6')
}

function bareHost(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)
  return (bracketed?.[1] ?? host.replace(/:\d+$/, '')).toLowerCase()
}
