import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JWK } from 'jose'
import { HeraldError } from '../../errors/herald-error.ts'

export interface DiscoveryServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, no trailing slash. */
  readonly issuer: string
  readonly jwksUri: string
}

/** OIDC discovery and JWKS on 127.0.0.1, with the paths of SPIRE's own provider. @throws ERR_DEVELOPMENT_LISTEN_FAILED */
export async function serveDiscovery({
  port,
  jwks,
}: {
  port: number
  jwks: { keys: readonly JWK[] }
}): Promise<DiscoveryServer> {
  const documents = new Map<string, string>()
  const server = createServer(answerFrom(documents))
  await listen(server, port)
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const jwksUri = `${issuer}/keys`
  documents.set('/keys', JSON.stringify(jwks))
  documents.set(
    '/.well-known/openid-configuration',
    JSON.stringify({
      issuer,
      jwks_uri: jwksUri,
      authorization_endpoint: '',
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    }),
  )
  return {
    issuer,
    jwksUri,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function answerFrom(documents: ReadonlyMap<string, string>): RequestListener {
  return (request, response) => {
    const document = documents.get((request.url ?? '').split('?', 1)[0] ?? '')
    if (document === undefined) return void response.writeHead(404).end()
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return void response.writeHead(405, { allow: 'GET, HEAD' }).end()
    }
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : document)
  }
}

async function listen(server: Server, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, '127.0.0.1', resolve)
  try {
    await promise
  } catch (cause) {
    throw new HeraldError('ERR_DEVELOPMENT_LISTEN_FAILED', `OIDC discovery cannot listen on 127.0.0.1:${port}`, {
      hint: 'choose another port, or 0 for a free one',
      cause,
    })
  } finally {
    server.removeListener('error', reject)
  }
}
