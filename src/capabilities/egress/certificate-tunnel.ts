import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, isIP, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import type { EgressCertificate } from '../../federation/egress-certificate.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import { serverSpiffeIdCheck } from '../../spiffe/server-spiffe-id.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../spiffe/trust-domain.ts'
import type { X509Bundle } from '../../spiffe/x509-bundle.ts'
import type { X509Svid } from '../../spiffe/x509-svid.ts'

export type CertificateTunnelOptions = {
  readonly certificate: EgressCertificate
  /** Stays its owner's. */
  readonly identity: Pick<ComponentIdentity, 'fetchX509Svid' | 'onX509Change'>
  /** For servers that are known by their SPIFFE ID. */
  readonly x509BundleOf:
    | ((trustDomain: TrustDomain, options: { signal: AbortSignal }) => Promise<X509Bundle>)
    | undefined
  readonly clock: Clock
  readonly log: Log
  /** The identity was taken back, and with it every connection. */
  readonly onRevoked: () => void
}

/** Longest time for the connection and the handshake, ms. */
const handshakeMs = 10_000
const maxConnections = 256

/**
 * Mutual TLS for one component and one origin, made on the control thread: host code of the cell connects to a socket in a directory that
 * only this process's user can enter, names the address, and speaks in plain text what leaves here encrypted. The key never leaves the thread.
 */
export class CertificateTunnel implements AsyncDisposable {
  readonly socketPath: string
  readonly #options: CertificateTunnelOptions
  readonly #directory: string
  readonly #server: Server
  readonly #open = new Set<Socket>()
  #made = false

  private constructor(options: CertificateTunnelOptions, directory: string) {
    this.#options = options
    this.#directory = directory
    this.socketPath = join(directory, randomBytes(16).toString('hex'))
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    this.#server.maxConnections = maxConnections
    options.identity.onX509Change((held) => {
      if (held !== undefined) {
        this.#made = true
        return
      }
      // What comes before the first certificate is no revocation.
      if (!this.#made) return
      this.#made = false
      for (const socket of this.#open) socket.destroy()
      options.onRevoked()
    })
  }

  /** @throws Error of the operating system */
  static async open(options: CertificateTunnelOptions): Promise<CertificateTunnel> {
    // Mode 0700.
    const tunnel = new CertificateTunnel(options, await mkdtemp(join(tmpdir(), 'herald-tls-')))
    await new Promise<void>((resolve, reject) => {
      tunnel.#server.once('error', reject).listen(tunnel.socketPath, resolve)
    })
    tunnel.#server.unref()
    return tunnel
  }

  /** Whether requests may go out now, and by which certificate. @throws like `ComponentIdentity.fetchX509Svid` */
  async certificateId(signal: AbortSignal): Promise<string> {
    return idOf(await this.#options.identity.fetchX509Svid({ signal }))
  }

  #accept(socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    readLine(socket).then(
      (address) => this.#tunnel(socket, address),
      () => socket.destroy(),
    )
  }

  async #tunnel(socket: Socket, address: string): Promise<void> {
    let secured: TLSSocket
    try {
      secured = await this.#handshake(address)
    } catch (error) {
      const { code } = error as { code?: unknown }
      const shown = typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'ECONNRESET'
      const { origin } = this.#options.certificate
      this.#options.log.warn(
        { event: 'egress.tls-failed', origin, code: shown, reason: (error as Error).message.slice(0, 300) },
        'no mutual TLS with a server',
      )
      socket.end(`error ${shown}\n`)
      return
    }
    if (socket.destroyed) {
      secured.destroy()
      return
    }
    socket.write('ok\n')
    secured.on('error', () => socket.destroy())
    secured.once('close', () => socket.destroy())
    socket.once('close', () => secured.destroy())
    socket.pipe(secured)
    secured.pipe(socket)
  }

  /** The address is what the cell found and its policy allows. Wherever it leads, only the configured server completes the handshake. */
  async #handshake(address: string): Promise<TLSSocket> {
    const { identity, certificate, x509BundleOf, clock } = this.#options
    if (isIP(address) === 0) throw new Error('no address')
    const signal = AbortSignal.timeout(handshakeMs)
    const svid = await identity.fetchX509Svid({ signal })
    const { origin, serverId } = certificate
    const { hostname, port } = new URL(origin)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const ca = serverId && (await trustOf(trustDomainOf(serverId), x509BundleOf, signal))
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
    const secured = connectTls({
      host: address,
      port: port === '' ? 443 : Number(port),
      ...svid.revealForTls(),
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      ...(serverId !== undefined && { checkServerIdentity: serverSpiffeIdCheck(serverId) }),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
    })
    secured.once('secureConnect', () => resolve(secured))
    secured.once('error', reject)
    const expire = (): void =>
      void secured.destroy(Object.assign(new Error('no handshake in time'), { code: 'ETIMEDOUT' }))
    signal.addEventListener('abort', expire)
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', expire)
      // A connection does not outlive the certificate that it was made with.
      const ended = new AbortController()
      secured.once('close', () => ended.abort())
      const leftMs = svid.expiresAt.getTime() - clock.nowMs()
      clock.sleep(leftMs, { signal: ended.signal }).then(
        () => secured.destroy(),
        () => {},
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.#open) socket.destroy()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

async function trustOf(
  trustDomain: TrustDomain,
  bundleOf: CertificateTunnelOptions['x509BundleOf'],
  signal: AbortSignal,
): Promise<string> {
  if (bundleOf === undefined) throw new HeraldError('ERR_X509_BUNDLE_UNKNOWN', 'this authority has no X.509 bundles')
  return (await bundleOf(trustDomain, { signal })).toPem()
}

function idOf({ certificates: [leaf] }: X509Svid): string {
  return createHash('sha256').update(leaf!).digest('hex').slice(0, 16)
}

/** The first line, which is short; what follows stays in the socket. */
function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0)
    const end = (settle: () => void): void => {
      socket.off('data', onData).off('close', onClose).pause()
      settle()
    }
    const onClose = (): void => reject(new Error('closed'))
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      const at = head.indexOf(0x0a)
      if (at === -1 && head.length <= 64) return
      end(() => {
        if (at === -1) reject(new Error('too long'))
        else {
          if (at + 1 < head.length) socket.unshift(head.subarray(at + 1))
          resolve(head.subarray(0, at).toString('latin1'))
        }
      })
    }
    socket.on('data', onData).once('close', onClose)
  })
}
