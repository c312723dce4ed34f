import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { BindingOf } from '../binding.ts'
import { Credentials, type Exchanged } from '../credentials.ts'
import type { ExchangeContext } from '../exchange.ts'
import { refused, unavailable, unusable } from './federation-errors.ts'
import { parseJsonObject } from './oauth-answer.ts'
import { type BoundedRequest, sendBounded } from './send-bounded.ts'
import { TryAgain, usualPatienceMs, withRetries } from './with-retries.ts'

const party = 'Vault'
type Context = ExchangeContext

/**
 * Logs in at `auth/<mount>/login` and reads one path. The Vault token stays here: the guest gets the secret's fields. They hold until the
 * first of the two leases ends; revoking the token revokes every lease made with it.
 */
export async function exchangeVault(binding: BindingOf<'vault'>, svid: JwtSvid, context: Context): Promise<Exchanged> {
  const login = await call(binding, context, {
    method: 'POST',
    path: `auth/${binding.mount}/login`,
    body: { role: binding.role, jwt: svid.reveal() },
  })
  const auth = asObject(login.auth)
  const token = auth?.client_token
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,4096}$/.test(token)) throw unusable(party, 'it has no client_token')
  const tokenEndsMs = endOf(auth?.lease_duration, context)

  try {
    const secret = await call(binding, context, { method: 'GET', path: binding.path, token })
    const fields = readFields(secret.data)
    const leaseId = typeof secret.lease_id === 'string' && secret.lease_id !== '' ? secret.lease_id : undefined
    const leaseEndsMs = leaseId === undefined ? Number.POSITIVE_INFINITY : endOf(secret.lease_duration, context)
    const make = (endsMs: number) => new Credentials({ kind: 'fields', fields }, new Date(endsMs))
    return {
      credentials: make(Math.min(tokenEndsMs, leaseEndsMs)),
      lease: {
        async renew({ signal }) {
          const renewing = { ...context, signal }
          const renewed = await call(binding, renewing, {
            method: 'POST',
            path: 'auth/token/renew-self',
            token,
            body: {},
          })
          const newTokenEndsMs = endOf(asObject(renewed.auth)?.lease_duration, renewing)
          if (leaseId === undefined) return make(newTokenEndsMs)
          const extended = await call(binding, renewing, {
            method: 'PUT',
            path: 'sys/leases/renew',
            token,
            body: { lease_id: leaseId },
          })
          return make(Math.min(newTokenEndsMs, endOf(extended.lease_duration, renewing)))
        },
        revoke: async ({ signal }) => revokeSelf(binding, { ...context, signal }, token),
      },
    }
  } catch (error) {
    // A token that nothing will use must not live on. What went wrong first is what is told.
    await revokeSelf(binding, { ...context, signal: AbortSignal.timeout(2000) }, token).catch(() => {})
    throw error
  }
}

async function revokeSelf(binding: BindingOf<'vault'>, context: Context, token: string): Promise<void> {
  await call(binding, context, { method: 'POST', path: 'auth/token/revoke-self', token, body: {} })
}

type Call = { method: BoundedRequest['method']; path: string; token?: string; body?: object }

function call(binding: BindingOf<'vault'>, context: Context, { method, path, token, body }: Call) {
  return withRetries(async () => {
    const answer = await sendBounded(
      {
        party,
        url: `${binding.address.replace(/\/$/, '')}/v1/${path}`,
        method,
        headers: {
          'x-vault-request': 'true',
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token !== undefined && { 'x-vault-token': token }),
          ...(binding['vault-namespace'] !== undefined && { 'x-vault-namespace': binding['vault-namespace'] }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      },
      context,
    )
    if (answer.status === 204) return {}
    const json = parseJsonObject(answer.text)
    if (answer.status === 200) {
      if (json === undefined) throw unusable(party, 'it is not a JSON object')
      return json
    }
    const said = Array.isArray(json?.errors) ? json.errors.filter((error) => typeof error === 'string').join('; ') : ''
    // 429 and 473 also say that a node is a standby; 503 that it is sealed.
    if (answer.status >= 500 || answer.status === 429 || answer.status === 473) {
      throw new TryAgain(unavailable(party, `HTTP ${answer.status} ${said}`), {
        afterMs: answer.retryAfterMs,
        patienceMs: usualPatienceMs,
      })
    }
    throw refused(party, `HTTP ${answer.status}`, said, {
      hint:
        answer.status === 403
          ? "The role's policy does not cover the path, or the token was revoked: herald trust vault prints both role and policy."
          : 'Find the cause with: herald identity explain WORKLOAD --for vault',
    })
  }, context)
}

/** Key/value version 2 wraps its data once more, beside `metadata`. */
function readFields(data: unknown): Record<string, string> {
  const outer = asObject(data)
  const inner = asObject(outer?.data)
  const fields = inner !== undefined && asObject(outer?.metadata) !== undefined ? inner : outer
  if (fields === undefined || Object.keys(fields).length === 0) throw unusable(party, 'the secret has no fields')
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (typeof value === 'string') return [name, value]
      if (typeof value === 'number' || typeof value === 'boolean') return [name, String(value)]
      throw unusable(party, 'a field of the secret is neither text nor number')
    }),
  )
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

function endOf(leaseDuration: unknown, { clock }: Context): number {
  if (typeof leaseDuration !== 'number' || !(leaseDuration > 0) || leaseDuration > 10 * 366 * 86_400) {
    throw unusable(party, 'its lease_duration is not a sensible number of seconds')
  }
  return clock.nowMs() + leaseDuration * 1000
}
