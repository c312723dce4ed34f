// What `helm test` runs, in Herald's image: asks the hosts for a component's token, verifies it, and has it traded. Prints a line a step; exit code 1
// says which step failed and why. It never prints a token.
import { createPublicKey, verify } from 'node:crypto'
import { request } from 'node:http'

const { HERALD_URL, HOST_HEADER, TRUST_DOMAIN, EXPECTED_SPIFFE_ID, ISSUER, EXCHANGE, TIMEOUT_SECONDS } = process.env
const signal = AbortSignal.timeout(Number(TIMEOUT_SECONDS) * 1000)

await step('the hosts answer', async () => {
  const answer = await retried(() => call('GET', '/', HOST_HEADER || 'herald-test.invalid'))
  return `${HERALD_URL} answered ${answer.status}`
})
if (HOST_HEADER) {
  const { token } = await step('the component gets its token', async () => {
    const answer = await retried(async () => {
      const { status, body } = await call('POST', '/api/v1/token', HOST_HEADER)
      if (status !== 200) throw new Error(`${status} ${describe(body)}`)
      return JSON.parse(body)
    })
    return { said: answer.subject, token: answer.token }
  })
  const { header, claims } = decode(token)
  await step('the token is what it should be', () => {
    const { sub, exp } = claims
    if (EXPECTED_SPIFFE_ID && sub !== EXPECTED_SPIFFE_ID)
      throw new Error(
        `its subject is ${sub}, not ${EXPECTED_SPIFFE_ID}: compare the entries with spire-server entry show`,
      )
    if (!sub?.startsWith(`spiffe://${TRUST_DOMAIN}/`)) throw new Error(`its subject ${sub} is not of ${TRUST_DOMAIN}`)
    const lifetimeS = exp - Date.now() / 1000
    if (!(lifetimeS > 0)) throw new Error(`it has expired at ${new Date(exp * 1000).toISOString()}: compare the clocks`)
    return `${sub} for ${[claims.aud].flat().join(', ')}, for ${Math.round(lifetimeS)} s more`
  })
  if (ISSUER) {
    await step('the issuer vouches for it', async () => {
      if (claims.iss !== ISSUER) throw new Error(`it was issued by ${claims.iss}, not ${ISSUER}`)
      const discovery = await json(`${ISSUER}/.well-known/openid-configuration`)
      const { keys } = await json(discovery.jwks_uri)
      const key = keys.find(({ kid }) => kid === header.kid)
      if (!key) throw new Error(`${discovery.jwks_uri} has no key ${header.kid}`)
      const [signed, signature] = [token.slice(0, token.lastIndexOf('.')), token.slice(token.lastIndexOf('.') + 1)]
      const algorithms = { ES256: 'sha256', ES384: 'sha384', RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' }
      if (!(header.alg in algorithms)) throw new Error(`its algorithm ${header.alg} is not known to this test`)
      const publicKey = createPublicKey({ key, format: 'jwk' })
      const genuine = verify(
        algorithms[header.alg],
        Buffer.from(signed),
        { key: publicKey, dsaEncoding: 'ieee-p1363' },
        Buffer.from(signature, 'base64url'),
      )
      if (!genuine) throw new Error('its signature is not of that key')
      return `${ISSUER}, ${header.alg}, key ${header.kid}`
    })
  } else say('-', 'the signature is not verified', 'tests.issuer is empty')
  if (EXCHANGE === 'true') {
    await step('it is traded for credentials', async () => {
      const { status, body } = await call('POST', '/api/v1/exchange', HOST_HEADER)
      if (status !== 200) throw new Error(`${status} ${describe(body)}`)
      return `until ${JSON.parse(body).credentialsExpireAt}`
    })
  } else say('-', 'nothing is traded', 'tests.exchange is false')
} else say('-', 'no component is asked', 'tests.hostHeader is empty')

async function step(name, run) {
  try {
    const result = await run()
    say('✔', name, typeof result === 'string' ? result : result.said)
    return result
  } catch (error) {
    say('✖', name, error.cause?.message ?? error.message)
    process.exit(1)
  }
}

function say(mark, name, detail) {
  console.log(`${mark} ${name}: ${detail}`)
}

/** Hosts, entries and agents may still be on their way. */
async function retried(attempt) {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (signal.aborted) throw new Error(`not within ${TIMEOUT_SECONDS} s; the last answer: ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }
}

function call(method, path, host) {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, HERALD_URL),
      { method, headers: { host }, signal: AbortSignal.any([signal, AbortSignal.timeout(15_000)]) },
      async (response) => {
        let body = ''
        for await (const chunk of response) body += chunk
        resolve({ status: response.statusCode, body })
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
}

async function json(url) {
  const response = await fetch(url, { signal })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return response.json()
}

function decode(token) {
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  return { header, claims }
}

/** The reason in an error's body: of Herald `{error: {code, reason}}`, of the component `{error: {code, message}}`. */
function describe(body) {
  try {
    const { code, reason, message } = JSON.parse(body).error
    return `${code}: ${reason ?? message}`
  } catch {
    return body.slice(0, 200)
  }
}
