import { HeraldError } from '../../errors/herald-error.ts'

/** Where a request goes; `host` canonical: lower case, IPv6 without brackets, no trailing dot. */
export type Origin = { readonly scheme: 'http' | 'https'; readonly host: string; readonly port: number }

type Entry = {
  readonly scheme: 'http' | 'https'
  /** Labels, `*` for any one label (leftmost: one or more); an IP address is one label. */
  readonly labels: readonly string[]
  /** undefined: any. */
  readonly port: number | undefined
}

/**
 * The `allowedHosts` of a manifest. An entry is an origin: `https://api.example.com`, `http://127.0.0.1:9000`. It allows exactly its
 * scheme, host and port (the scheme's usual one unless given; `:*` is any). Without a scheme it means https. `*` stands for one whole label
 * of the host name, at the left for one or more: `https://*.amazonaws.com` allows `sts.eu-west-1.amazonaws.com` and not
 * `amazonaws.com`; `https://*` allows every https host that is not an IP address. No entries: nothing is allowed.
 *
 * This is the strict reading of what upstream's manifest leaves open: a bare host never allows plain http.
 */
export class AllowedHosts {
  readonly #entries: readonly Entry[]

  /** @throws ERR_NETWORK_POLICY_INVALID */
  constructor(entries: readonly string[]) {
    this.#entries = entries.map(parseEntry)
  }

  /** `exact`: an entry without wildcard names this very host. */
  match(origin: Origin): 'exact' | 'wildcard' | undefined {
    let found: 'wildcard' | undefined
    for (const entry of this.#entries) {
      if (entry.scheme !== origin.scheme || (entry.port ?? origin.port) !== origin.port) continue
      if (entry.labels.length === 1 && entry.labels[0] === origin.host) return 'exact'
      if (isIpLiteral(origin.host)) continue
      if (!matchLabels(entry.labels, origin.host.split('.'))) continue
      if (!entry.labels.includes('*')) return 'exact'
      found = 'wildcard'
    }
    return found
  }
}

/** @returns undefined when `authority` is no `host` or `host:port`; user information is never accepted. */
export function parseOrigin(scheme: 'http' | 'https', authority: string): Origin | undefined {
  if (!/^[A-Za-z0-9\-._[\]:%]+$/.test(authority) || !URL.canParse(`${scheme}://${authority}/`)) return undefined
  const url = new URL(`${scheme}://${authority}/`)
  if (url.pathname !== '/' || url.username !== '' || url.hostname === '') return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (host === '') return undefined
  return { scheme, host, port: url.port === '' ? defaultPort(scheme) : Number(url.port) }
}

function parseEntry(text: string): Entry {
  const match = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[^/:[\]\s]+)(?::(\d{1,5}|\*))?\/?$/i.exec(text.trim())
  if (match === null) throw invalid(text)
  const scheme = (match[1] ?? 'https').toLowerCase() === 'http' ? 'http' : 'https'
  const pattern = (match[2] ?? '').toLowerCase().replace(/\.$/, '')
  const port = match[3] === '*' ? undefined : match[3] === undefined ? defaultPort(scheme) : Number(match[3])
  if (port !== undefined && (port < 1 || port > 65_535)) throw invalid(text)
  if (!pattern.includes('*')) {
    const origin = parseOrigin(scheme, pattern)
    if (origin === undefined) throw invalid(text)
    return { scheme, labels: isIpLiteral(origin.host) ? [origin.host] : origin.host.split('.'), port }
  }
  const labels = pattern.split('.')
  if (!labels.every((label) => label === '*' || /^[a-z0-9_-]+$/.test(label))) throw invalid(text)
  return { scheme, labels, port }
}

function matchLabels(pattern: readonly string[], labels: readonly string[]): boolean {
  const extra = labels.length - pattern.length
  if (extra < 0 || (extra > 0 && pattern[0] !== '*')) return false
  return pattern.every((label, index) => {
    const actual = labels[index === 0 ? 0 : index + extra]
    return label === '*' ? actual !== '' : label === actual
  })
}

function isIpLiteral(host: string): boolean {
  return host.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(host)
}

function defaultPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80
}

function invalid(text: string): HeraldError {
  return new HeraldError('ERR_NETWORK_POLICY_INVALID', `allowedHosts: "${text}" is no origin`, {
    hint: 'write https://api.example.com, http://127.0.0.1:9000 or https://*.example.com',
  })
}
