import type { Clock } from '../clock/clock.ts'
import type { ErrorCode } from '../errors/error-codes.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import type { Lattice, LatticeMessage, LatticeSubscription } from '../lattice/lattice.ts'
import { type NatsKey, signNatsJwt } from '../lattice/nats-keys.ts'
import { authCalloutSubject } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import { type AuthorizationRequest, parseAuthorizationRequest } from './authorization-request.ts'
import { type Authorization, type AuthorizeOptions, authorize } from './authorize.ts'
import type { NatsAuditSink } from './callout-audit.ts'

export type ServeCalloutOptions = Omit<AuthorizeOptions, 'nowMs' | 'policy'> & {
  /** Logged in as one of the server's `auth_users`, in the account of its `auth_callout`. Stays its owner's. */
  readonly lattice: Lattice
  /** Asked for every request, so that it may change. */
  readonly policy: () => AuthorizeOptions['policy']
  /** `issuer` of the server's `auth_callout`. */
  readonly issuer: NatsKey
  /** `xkey` of the server's `auth_callout`; with it nothing that is not encrypted is answered. */
  readonly xkey: NatsKey | undefined
  readonly audit: NatsAuditSink
  readonly clock: Clock
  readonly log: Log
}

/** How a server's own inboxes begin; answers go nowhere else. */
const serverInbox = '$SYS._INBOX.'

/** Long enough for any answer to an operator, ns. */
const answerTtlNs = 300e9

/**
 * Answers whether a NATS server lets a client in: subscribes in a queue group, so several such services share the work and stand in
 * for each other. Every decision is an audit event, without what was shown. Disposal finishes what is under way.
 */
export function serveCallout(options: ServeCalloutOptions): LatticeSubscription {
  const { lattice, log } = options
  return lattice.subscribe(authCalloutSubject, {
    queue: 'herald-nats-callout',
    replyPrefix: serverInbox,
    handle: (message) => answer(message, options),
    onOverload: () => log.warn({ event: 'callout.overloaded' }, 'too many clients at once; the server will ask again'),
  })
}

async function answer(message: LatticeMessage, options: ServeCalloutOptions): Promise<void> {
  const { log, clock, issuer, xkey, audit } = options
  const serverXkey = message.header?.('Nats-Server-Xkey')
  let request: AuthorizationRequest
  try {
    request = parseAuthorizationRequest(opened(message.payload, serverXkey, xkey), clock.nowMs())
  } catch (error) {
    // Not even a server's question: there is nobody to answer.
    log.error({ event: 'callout.request-invalid', code: codeOf(error) }, reasonOf(error))
    return
  }
  const { host, name, serverName } = request
  const about = { client: { host, name: name.slice(0, 100) }, server: serverName }
  let said: { jwt: string } | { error: string }
  try {
    const authorization = await authorize(request, { ...options, policy: options.policy(), nowMs: clock.nowMs() })
    said = { jwt: userJwt(request, authorization, options) }
    const { spiffeId, by, tokenId, permission, expiresAt } = authorization
    const shown = tokenId !== undefined && { tokenId }
    audit({ kind: 'granted', spiffeId, by, account: permission.account, expiresAt, ...shown, ...about })
  } catch (error) {
    const code = codeOf(error)
    if (!isHeraldError(error)) log.error({ event: 'callout.failed', err: error }, 'a defect in the callout service')
    audit({ kind: 'refused', code, reason: reasonOf(error), ...about })
    said = { error: `${code}: ${reasonOf(error)}` }
  }
  const jwt = signNatsJwt(
    {
      sub: request.userNkey,
      aud: request.serverId,
      nats: { ...said, type: 'authorization_response', version: 2 },
    },
    issuer,
    clock.nowMs(),
  )
  const payload = Buffer.from(jwt)
  message.reply(serverXkey !== undefined && xkey !== undefined ? xkey.seal(payload, serverXkey) : payload)
}

function opened(payload: Uint8Array, serverXkey: string | undefined, xkey: NatsKey | undefined): string {
  if (serverXkey === undefined) {
    if (xkey === undefined) return new TextDecoder().decode(payload)
    throw new HeraldError('ERR_NATS_JWT_INVALID', 'an authorization request came unencrypted', {
      hint: 'give nats-server the xkey of this service: herald nats-callout keys prints it',
    })
  }
  if (xkey === undefined) {
    throw new HeraldError('ERR_NATS_JWT_INVALID', 'an authorization request came encrypted, and there is no xkey', {
      hint: 'give this service the directory with xkey.nk',
    })
  }
  return new TextDecoder().decode(xkey.open(payload, serverXkey))
}

function userJwt(
  { userNkey }: AuthorizationRequest,
  { spiffeId, permission, expiresAt }: Authorization,
  { issuer, clock }: ServeCalloutOptions,
): string {
  const { account, publish, subscribe, answers } = permission
  // An absent list would allow everything.
  const allowed = (subjects: readonly string[]) => (subjects.length === 0 ? { deny: ['>'] } : { allow: subjects })
  return signNatsJwt(
    {
      name: spiffeId,
      sub: userNkey,
      aud: account,
      exp: Math.floor(expiresAt.getTime() / 1000),
      nats: {
        pub: allowed(publish),
        sub: allowed(subscribe),
        ...(answers && { resp: { max: 1, ttl: answerTtlNs } }),
        // -1 is no limit beside the account's.
        subs: -1,
        data: -1,
        payload: -1,
        type: 'user',
        version: 2,
      },
    },
    issuer,
    clock.nowMs(),
  )
}

const codeOf = (error: unknown): ErrorCode => (isHeraldError(error) ? error.code : 'ERR_INTERNAL')
const reasonOf = (error: unknown): string => (isHeraldError(error) ? error.message : 'a defect in the callout service')
