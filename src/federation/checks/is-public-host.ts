import { isIP } from 'node:net'

/** False for names and addresses that no party on the internet can reach: RFC 6761, RFC 1918, RFC 4193, loopback, cluster names. */
export function isPublicHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isIP(host) === 4)
    return !/^(0|10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(host)
  if (isIP(host) === 6) return !/^(::1?$|f[cd]|fe[89ab])/.test(host)
  if (!host.includes('.')) return false
  return !/\.(localhost|local|internal|svc|test|invalid|cluster\.local|home\.arpa)$/.test(host)
}
