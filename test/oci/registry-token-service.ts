import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What a token service is asked: by query (GET) or form (POST). */
export type TokenRequest = {
  readonly headers: IncomingMessage['headers']
  readonly method: string
  readonly parameters: URLSearchParams
}

/** Who asks, and which of the wanted actions on a repository it may have; `refused` is a status and an OAuth 2 error. */
export type TokenDecision =
  | { readonly subject: string; readonly actions: (repository: string, wanted: readonly string[]) => readonly string[] }
  | { readonly refused: 400 | 401; readonly error?: string }

export type TokenService = {
  /** Where tokens are given: the realm. */
  readonly url: string
  readonly jwk: object
  readonly issuer: string
  readonly service: string
  /** `auth` of the real registry's configuration, which trusts this service. */
  registryAuth(jwksFile: string): string
  /** Scopes of the tokens given. */
  readonly asked: string[]
  /** The tokens themselves. */
  readonly issued: string[]
  /** Parameters of all requests. */
  readonly requests: URLSearchParams[]
} & AsyncDisposable

/** By distribution's "Token Authentication Specification" and its OAuth 2, signing for the real registry. */
export async function startTokenService(
  decide: (request: TokenRequest) => Promise<TokenDecision> | TokenDecision,
): Promise<TokenService> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const [kid, issuer, service] = ['test-key', 'herald-test', 'herald-registry']
  const told = { asked: [] as string[], issued: [] as string[], requests: [] as URLSearchParams[] }
  const server = createServer(async (request, response) => {
    const { method = '', headers } = request
    const parameters =
      method === 'POST' ? new URLSearchParams(await text(request)) : new URL(request.url ?? '', 'http://x').searchParams
    told.requests.push(parameters)
    response.setHeader('content-type', 'application/json')
    const decision = await decide({ headers, method, parameters })
    if ('refused' in decision) {
      response.writeHead(decision.refused).end(JSON.stringify({ error: decision.error }))
      return
    }
    const scope = parameters.get('scope') ?? ''
    const [type = '', name = '', wanted = ''] = scope.split(':')
    const actions = decision.actions(name, wanted.split(','))
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      ...{ iss: issuer, sub: decision.subject, aud: parameters.get('service') },
      ...{ exp: now + 300, nbf: now - 5, iat: now, jti: randomUUID() },
      access: actions.length === 0 ? [] : [{ type, name, actions }],
    }
    const unsigned = [{ alg: 'ES256', typ: 'JWT', kid }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const signature = sign('sha256', Buffer.from(unsigned), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const token = `${unsigned}.${signature.toString('base64url')}`
    told.asked.push(scope)
    told.issued.push(token)
    // OAuth 2 calls it otherwise than distribution's GET.
    response.end(JSON.stringify({ [method === 'POST' ? 'access_token' : 'token']: token, expires_in: 300 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
  return {
    ...told,
    ...{ url, issuer, service },
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' },
    registryAuth: (jwksFile) =>
      `auth:\n  token: { realm: "${url}", service: ${service}, issuer: ${issuer}, jwks: ${JSON.stringify(jwksFile)}, signingalgorithms: [ES256] }`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
