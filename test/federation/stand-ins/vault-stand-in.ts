import { randomUUID } from 'node:crypto'
import { type StandInRequest, type StandInResponse, startHttpStandIn } from '../../relying-parties/http-stand-in.ts'
import { createOidcRelyingParty, TokenRefused } from '../../relying-parties/oidc-relying-party.ts'
import { jsonAnswer, opaqueToken } from './json-answer.ts'

export type VaultRole = {
  readonly role_type: string
  readonly bound_audiences: readonly string[]
  readonly bound_subject: string
  /** Paths that its policy may read. */
  readonly reads: readonly string[]
  readonly token_ttl_s: number
}

export type VaultStandInOptions = {
  readonly boundIssuer: string
  readonly roles: Readonly<Record<string, VaultRole>>
  /** Key/value version 2, by full path (`secret/data/…`). */
  readonly secrets: Readonly<Record<string, Record<string, string>>>
  /** `database/creds/…`: lifetime of the lease, seconds. */
  readonly databaseLeaseS: number
  readonly nowMs?: () => number
}

/**
 * Stands in for Vault while it cannot be built here: `auth/jwt/login` (verified through discovery), key/value v2, dynamic database
 * credentials with leases, `renew-self`, `revoke-self`, `sys/leases/renew`, in Vault's published formats. Revoking a token ends its leases.
 */
export async function startVaultStandIn(options: VaultStandInOptions) {
  const { boundIssuer, roles, secrets, databaseLeaseS, nowMs = Date.now } = options
  type Held = { role: VaultRole; endsMs: number; leases: Set<string> }
  const tokens = new Map<string, Held>()
  const leases = new Map<string, number>()

  async function login(request: StandInRequest): Promise<StandInResponse> {
    const { role: name, jwt } = JSON.parse(request.body.toString()) as { role?: string; jwt?: string }
    const role = roles[name ?? '']
    if (role === undefined) return errors(400, `role "${name}" could not be found`)
    if (role.role_type !== 'jwt') return errors(400, 'role with oidc role_type is not allowed')
    const party = createOidcRelyingParty([{ issuer: boundIssuer, clientIds: role.bound_audiences }], { nowMs })
    try {
      const { subject } = await party.verify(jwt ?? '')
      if (subject !== role.bound_subject)
        return errors(400, 'error validating token: sub claim does not match bound subject')
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      return errors(400, `error validating token: ${error.reason}`)
    }
    const token = `hvs.${opaqueToken()}`
    tokens.set(token, { role, endsMs: nowMs() + role.token_ttl_s * 1000, leases: new Set() })
    return jsonAnswer(200, {
      request_id: randomUUID(),
      auth: {
        client_token: token,
        accessor: opaqueToken(),
        policies: [name],
        lease_duration: role.token_ttl_s,
        renewable: true,
      },
    })
  }

  function drop(token: string) {
    for (const lease of tokens.get(token)?.leases ?? []) leases.delete(lease)
    tokens.delete(token)
  }

  const server = await startHttpStandIn(async (request) => {
    const path = request.target.replace(/^\/v1\//, '')
    if (path === 'auth/jwt/login' && request.method === 'POST') return login(request)
    const token = `${request.headers['x-vault-token'] ?? ''}`
    const held = tokens.get(token)
    if (held === undefined || held.endsMs <= nowMs()) return errors(403, 'permission denied')
    if (path === 'auth/token/revoke-self') {
      drop(token)
      return { status: 204, headers: {}, body: '' }
    }
    if (path === 'auth/token/renew-self') {
      held.endsMs = nowMs() + held.role.token_ttl_s * 1000
      return jsonAnswer(200, { auth: { client_token: token, lease_duration: held.role.token_ttl_s, renewable: true } })
    }
    if (path === 'sys/leases/renew' && request.method === 'PUT') {
      const { lease_id: id } = JSON.parse(request.body.toString()) as { lease_id: string }
      if (!leases.has(id)) return errors(400, 'lease not found')
      leases.set(id, nowMs() + databaseLeaseS * 1000)
      return jsonAnswer(200, { lease_id: id, lease_duration: databaseLeaseS, renewable: true })
    }
    if (!held.role.reads.includes(path)) return errors(403, '1 error occurred:\n\t* permission denied\n\n')
    if (path.startsWith('database/creds/')) {
      const id = `${path}/${randomUUID()}`
      leases.set(id, nowMs() + databaseLeaseS * 1000)
      held.leases.add(id)
      return jsonAnswer(200, {
        lease_id: id,
        lease_duration: databaseLeaseS,
        renewable: true,
        data: { username: `v-jwt-${randomUUID()}`, password: opaqueToken() },
      })
    }
    const data = secrets[path]
    if (data === undefined) return errors(404)
    return jsonAnswer(200, {
      lease_id: '',
      lease_duration: 0,
      renewable: false,
      data: { data, metadata: { version: 3, destroyed: false } },
    })
  })
  return {
    url: server.url,
    liveTokens: () => tokens.size,
    liveLeases: () => leases.size,
    /** As an operator does with `vault lease revoke -prefix`. */
    revokeAllLeases: () => leases.clear(),
    [Symbol.asyncDispose]: () => server.close(),
  }
}

function errors(status: number, ...messages: string[]): StandInResponse {
  return jsonAnswer(status, { errors: messages })
}
