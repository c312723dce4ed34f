import { createAwsSession } from './aws-session.js'
import { askIdentity } from './identity.js'
import { renderPage } from './page.js'
import { Refusal } from './refusal.js'

/**
 * @typedef {object} GatewayRequest
 * @property {string} method
 * @property {string} path as sent, percent-encoded
 * @property {string} query without the question mark
 * @property {Record<string, string>} headers names lowercase
 * @property {() => string} readBody
 *
 * @typedef {object} GatewayResponse
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {string | AsyncIterable<Uint8Array>} body
 */

const defaultPrompt = 'Tell me a short story about a component that travels without any luggage of secrets.'
const objectPrefix = '/api/v1/object/'

/**
 * The routes, apart from how requests reach them.
 *
 * @param {object} parts
 * @param {import('./configuration.js').Configuration} parts.configuration
 * @param {(audience: string) => string | undefined} parts.getToken
 * @param {() => number} parts.now milliseconds since the Unix epoch
 * @returns {{ answer(request: GatewayRequest): Promise<GatewayResponse> }} `answer` rejects on a defect only
 */
export function createGateway({ configuration, getToken, now }) {
  const aws = createAwsSession({ configuration, now, askIdentity: () => askIdentity(getToken, configuration.audience) })

  const routes = {
    '/': {
      GET: () => renderPage(),
    },
    '/api/v1/token': {
      POST: (request) => {
        const { audience = configuration.audience } = readJson(request, { audience: 2048 })
        const { token, subject, expiresAt } = askIdentity(getToken, audience)
        return json(200, { token, subject, audience, expiresAt })
      },
    },
    '/api/v1/exchange': {
      POST: async (request) => {
        readJson(request, {})
        return json(200, await aws.describe())
      },
    },
    '/api/v1/bedrock': {
      POST: async (request) => {
        const { prompt = defaultPrompt } = readJson(request, { prompt: 4000 })
        return json(200, await aws.converse(prompt))
      },
    },
  }

  async function route(request) {
    if (request.headers['sec-fetch-site'] === 'cross-site') {
      throw new Refusal(403, 'cross-site', 'this API answers its own page and programs, not other sites', 'request')
    }
    const methods = Object.hasOwn(routes, request.path)
      ? routes[request.path]
      : request.path.startsWith(objectPrefix) && request.path.length > objectPrefix.length
        ? { GET: readObject }
        : undefined
    if (methods === undefined) throw new Refusal(404, 'no-such-route', 'see GET / for what there is', 'request')
    if (!Object.hasOwn(methods, request.method)) {
      const allowed = Object.keys(methods).join(', ')
      const answer = refuse(new Refusal(405, 'method-not-allowed', `use ${allowed}`, 'request'))
      return { ...answer, headers: { ...answer.headers, allow: allowed } }
    }
    return methods[request.method](request)
  }

  async function readObject({ path }) {
    let key
    try {
      key = decodeURIComponent(path.slice(objectPrefix.length))
    } catch {
      throw new Refusal(400, 'bad-key', 'the object key is not valid percent-encoding', 'request')
    }
    const { body, contentType, lengthBytes } = await aws.getObject(key)
    const headers = { 'content-type': contentType, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
    // Whatever the bucket holds, a browser must not run it in this page's origin.
    headers['content-security-policy'] = 'sandbox'
    if (lengthBytes !== undefined) headers['content-length'] = `${lengthBytes}`
    return { status: 200, headers, body }
  }

  return {
    async answer(request) {
      try {
        return await route(request)
      } catch (error) {
        if (error instanceof Refusal) return refuse(error)
        throw error
      }
    },
  }
}

/** @param {Record<string, number>} known keys that may be there, each a string of at most so many characters */
function readJson(request, known) {
  const text = request.readBody().trim()
  if (text === '') return {}
  let value
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refusal(400, 'bad-json', 'the body is not JSON', 'request')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal(400, 'bad-json', 'the body must be a JSON object', 'request')
  }
  for (const [key, content] of Object.entries(value)) {
    const limit = Object.hasOwn(known, key) ? known[key] : undefined
    if (limit === undefined) throw new Refusal(400, 'unknown-key', `unknown key ${JSON.stringify(key)}`, 'request')
    if (typeof content !== 'string' || content === '' || content.length > limit) {
      throw new Refusal(400, 'bad-value', `${key} must be a string of 1 to ${limit} characters`, 'request')
    }
  }
  return value
}

function refuse({ status, code, message, step }) {
  return json(status, { error: { code, message, step } })
}

function json(status, value) {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
  }
}
