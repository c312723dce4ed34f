import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { type Authenticator, type ConnectionOptions, credsAuthenticator, nkeyAuthenticator } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'
import { serverSpiffeIdCheck } from '../spiffe/server-spiffe-id.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** How the host shows who it is. Files and functions are read at every (re)connect, so renewed credentials need no restart. */
export type LatticeCredentials =
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: () => string }
  /** A `.creds` file: user JWT and its nkey seed. */
  | { readonly kind: 'creds-file'; readonly path: string }
  /** A file with an nkey seed. */
  | { readonly kind: 'nkey-file'; readonly path: string }
  /** A token of this workload that is renewed, for a server with auth callout. */
  | ({ readonly kind: 'svid' } & LatticeSvid)

export type LatticeSvid = {
  /** Resolves once there is something to show; asked before a connection is begun. @throws HeraldError why there is nothing */
  ready(options: { signal: AbortSignal }): Promise<void>
  /** `undefined` when none is valid: then the connection is begun anew. Absent where the client certificate alone says who this is. */
  readonly token?: () => string | undefined
  /** Where answers to this workload go, and to no other: see {@link inboxPrefixOf}. Known once ready. */
  inboxPrefix(): string
}

/** Mutual TLS by X.509-SVID. All PEM, and read at every (re)connect. */
export type LatticeSvidTls = {
  readonly cert: () => string
  readonly key: () => string
  /** The authorities of the server's trust domain, and nothing else is trusted. */
  readonly ca: () => string
  /** The SPIFFE ID that the server's certificate must have; without it the certificate must be made out to its host name. */
  readonly serverId: SpiffeId | undefined
}

export type LatticeTls = {
  /** Instead of files. */
  readonly svid?: LatticeSvidTls
  /** PEM of the authorities to trust. Default: the system's. */
  readonly caFile?: string
  /** PEM of the client's certificate and key, for mutual TLS. */
  readonly certFile?: string
  readonly keyFile?: string
  /** TLS before the server's greeting, for servers with `handshake_first`. Default false. */
  readonly handshakeFirst?: boolean
}

const maxSecretFileBytes = 65_536

/** Checks addresses. `nats://host:port` upgrades to TLS when the server offers it; `tls://` insists. @throws ERR_LATTICE_CONFIG */
export function parseServers(servers: readonly string[]): { servers: string[]; tlsRequired: boolean } {
  const refuse = (text: string, why: string): never => {
    throw new HeraldError('ERR_LATTICE_CONFIG', `${text} is no NATS address: ${why}`, {
      hint: 'write nats://host:4222 or tls://host:4222',
    })
  }
  if (servers.length === 0) refuse('(nothing)', 'at least one is needed')
  let tlsRequired = false
  const parsed = servers.map((text) => {
    const url = URL.parse(text.includes('://') ? text : `nats://${text}`)
    if (url === null) return refuse(JSON.stringify(text.slice(0, 100)), 'it cannot be read')
    const shown = `${url.protocol}//${url.host}`
    if (url.username !== '' || url.password !== '')
      return refuse(shown, 'credentials do not belong into an address, where every list of processes shows them')
    if (url.protocol !== 'nats:' && url.protocol !== 'tls:')
      return refuse(shown, `the scheme ${url.protocol}// is not spoken`)
    if (url.hostname === '' || (url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '')
      return refuse(shown, 'only a host and a port are expected')
    tlsRequired ||= url.protocol === 'tls:'
    return `${url.hostname}:${url.port === '' ? '4222' : url.port}`
  })
  return { servers: parsed, tlsRequired }
}

/** `servers`: as {@link parseServers} gives them. */
export function natsTls(
  tls: LatticeTls | undefined,
  tlsRequired: boolean,
  servers: readonly string[],
): Pick<ConnectionOptions, 'tls'> {
  if (tls === undefined) return tlsRequired ? { tls: { ...checkingAddresses(servers) } } : {}
  const { svid, caFile, certFile, keyFile, handshakeFirst } = tls
  if (svid !== undefined) {
    const { serverId } = svid
    return {
      tls: {
        ...(serverId === undefined
          ? checkingAddresses(servers)
          : { checkServerIdentity: serverSpiffeIdCheck(serverId) }),
        ...(handshakeFirst === true && { handshakeFirst }),
        // Getters: the client reads them for every handshake.
        get cert() {
          return svid.cert()
        },
        get key() {
          return svid.key()
        },
        get ca() {
          return svid.ca()
        },
      },
    }
  }
  return {
    tls: {
      ...checkingAddresses(servers),
      ...(caFile !== undefined && { caFile }),
      ...(certFile !== undefined && { certFile }),
      ...(keyFile !== undefined && { keyFile }),
      ...(handshakeFirst === true && { handshakeFirst }),
    },
  }
}

/**
 * For a server named by its address the client gives Node no name to check, and Node takes `localhost`. Then the certificate must be made
 * out to one of the addresses this connection was given.
 */
function checkingAddresses(servers: readonly string[]): object {
  const hosts = servers.map((server) => server.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
  const addresses = hosts.filter((host) => isIP(host) !== 0)
  if (addresses.length === 0 || hosts.includes('localhost')) return {}
  return {
    checkServerIdentity(name: string, certificate: PeerCertificate): Error | undefined {
      if (name !== 'localhost') return checkServerIdentity(name, certificate)
      const errors = addresses.map((address) => checkServerIdentity(address, certificate))
      return errors.includes(undefined) ? undefined : errors[0]
    },
  }
}

export function natsAuthenticator(credentials: LatticeCredentials | undefined): Authenticator | undefined {
  switch (credentials?.kind) {
    case undefined:
      return undefined
    case 'user':
      return () => ({ user: credentials.user, pass: credentials.password })
    case 'token':
      return () => ({ auth_token: credentials.token() })
    case 'svid': {
      const { token } = credentials
      if (token === undefined) return undefined
      return () => {
        const current = token()
        if (current !== undefined) return { auth_token: current }
        throw new HeraldError('ERR_LATTICE_CONFIG', 'this workload has no valid JWT-SVID to show to NATS')
      }
    }
    case 'creds-file':
      return (nonce) => credsAuthenticator(readSecret(credentials.path))(nonce)
    case 'nkey-file':
      return (nonce) => nkeyAuthenticator(trimmed(readSecret(credentials.path)))(nonce)
  }
}

function readSecret(path: string): Uint8Array {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new HeraldError('ERR_LATTICE_CONFIG', `the NATS credentials in ${path} cannot be read`, {
      hint: 'check the path and its permissions',
      cause: error,
    })
  }
  if (bytes.length === 0 || bytes.length > maxSecretFileBytes) {
    throw new HeraldError('ERR_LATTICE_CONFIG', `${path} holds no NATS credentials`, {
      hint: 'make it again with nsc or nk',
    })
  }
  return bytes
}

function trimmed(bytes: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(bytes).toString('utf8').trim())
}
