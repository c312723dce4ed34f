import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

export type GuardOptions = {
  /** Nobody but this machine can reach the address. */
  readonly loopback: boolean
  /** Names the console is reached by, beside addresses and `localhost`. */
  readonly hostNames: readonly string[]
}

/** Why a request is not answered; `undefined` when it is. */
export type Refusal = { readonly status: 403 | 405 | 421; readonly reason: string }

/**
 * A page of another origin may have a browser ask the console: by its address (told by `Sec-Fetch-Site`, W3C Fetch Metadata), or by a name of its own that
 * resolves to the console's address (DNS rebinding, told by `Host`).
 */
export function refusalOf(request: IncomingMessage, { loopback, hostNames }: GuardOptions): Refusal | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, reason: 'the console only shows: GET and HEAD' }
  if (!isOwnHost(request.headers.host ?? '', loopback, hostNames))
    return {
      status: 421,
      reason: 'this is not a name of the console; name it with --host-name if it is reached by one',
    }
  const site = request.headers['sec-fetch-site']
  const navigates = request.headers['sec-fetch-mode'] === 'navigate' && request.url === '/'
  if (site !== undefined && site !== 'none' && site !== 'same-origin' && !navigates)
    return { status: 403, reason: 'the console answers its own page only' }
  return undefined
}

/** The port may be another one: that of a tunnel. */
function isOwnHost(header: string, loopback: boolean, hostNames: readonly string[]): boolean {
  const match = /^(?:\[(?<v6>[0-9A-Fa-f:.]{2,45})\]|(?<name>[A-Za-z0-9.-]{1,253}))(?::\d{1,5})?$/.exec(header)
  const name = (match?.groups?.v6 ?? match?.groups?.name ?? '').toLowerCase()
  if (name === 'localhost' || hostNames.some((each) => each.toLowerCase() === name)) return true
  return loopback ? isLoopback(name) : isIP(name) !== 0
}

/** Of an address; a name is none. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}
