import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import { verifyServerJwt } from '../lattice/nats-keys.ts'

/** Who wants to connect, as a NATS server tells it. */
export type AuthorizationRequest = {
  /** `N…`: the answer is for this server. */
  readonly serverId: string
  readonly serverName: string
  /** `U…`: made for this one connection; the answer must be about it. */
  readonly userNkey: string
  /** Address of the client. */
  readonly host: string
  /** As the client calls itself: nothing to believe. */
  readonly name: string
  /** Offered as a token, or as a password for clients that know no token. */
  readonly token: string | undefined
  /** The client's certificates, leaf first, of whose key the handshake has proven the possession; empty without. */
  readonly certificates: readonly X509Certificate[]
}

const text = z.string().max(100_000)
const chain = z.array(text).max(16)
const claims = z.object({
  aud: z.literal('nats-authorization-request'),
  exp: z.number().optional(),
  nats: z.object({
    server_id: z.object({ id: z.string().regex(/^N[A-Z2-7]{55}$/), name: text.default('') }),
    user_nkey: z.string().regex(/^U[A-Z2-7]{55}$/),
    client_info: z.object({ host: text.default(''), name: text.default('') }).default({ host: '', name: '' }),
    connect_opts: z.object({ auth_token: text.optional(), pass: text.optional() }).default({}),
    client_tls: z.object({ certs: chain.default([]), verified_chains: z.array(chain).max(16).default([]) }).optional(),
  }),
})

/** @throws ERR_NATS_JWT_INVALID: what no NATS server has signed, or is over, or has another form */
export function parseAuthorizationRequest(jwt: string, nowMs: number): AuthorizationRequest {
  const verified = verifyServerJwt(jwt)
  const result = claims.safeParse(verified)
  if (!result.success || verified.iss !== result.data.nats.server_id.id) {
    throw new HeraldError('ERR_NATS_JWT_INVALID', 'not an authorization request of a NATS server')
  }
  const { exp, nats } = result.data
  if (exp !== undefined && exp * 1000 < nowMs - 5_000) {
    throw new HeraldError('ERR_NATS_JWT_INVALID', 'an authorization request of a NATS server has expired', {
      hint: 'compare the clocks of this machine and of the NATS server',
    })
  }
  const { server_id, user_nkey, client_info, connect_opts, client_tls } = nats
  const token = connect_opts.auth_token || connect_opts.pass || undefined
  return {
    serverId: server_id.id,
    serverName: server_id.name,
    userNkey: user_nkey,
    host: client_info.host,
    name: client_info.name,
    token,
    certificates: readCertificates(client_tls?.verified_chains[0] ?? client_tls?.certs ?? []),
  }
}

function readCertificates(pems: readonly string[]): readonly X509Certificate[] {
  try {
    return pems.map((pem) => new X509Certificate(pem))
  } catch {
    throw new HeraldError('ERR_X509_SVID_INVALID', 'the client certificate cannot be read')
  }
}
