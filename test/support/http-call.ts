import { request } from 'node:http'

export type HttpCall = {
  readonly method?: string
  /** Instead of the URL's: which workload is meant. */
  readonly host?: string
  /** Sent as JSON. */
  readonly json?: object
}

export type HttpAnswer = {
  readonly status: number
  readonly text: string
  /** The body as JSON. @throws SyntaxError with what was answered instead. */
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it field by field
  json(): any
}

/** One request on a connection of its own, through node:http: fetch does not let the Host header be chosen. Waits 30 s. */
export async function httpCall(url: string, { method = 'GET', host, json }: HttpCall = {}): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  const body = json === undefined ? '' : JSON.stringify(json)
  const headers = { ...(host && { host }), ...(json && { 'content-type': 'application/json' }) }
  const outgoing = request(url, { method, headers, timeout: 30_000, agent: false }, (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk) => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      const status = response.statusCode ?? 0
      const parse = () => {
        try {
          return JSON.parse(text)
        } catch {
          throw new SyntaxError(`${method} ${url} answered ${status} with no JSON: ${text.slice(0, 200)}`)
        }
      }
      resolve({ status, text, json: parse })
    })
  })
  outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${url}: no answer in 30 s`)))
  outgoing.on('error', reject)
  outgoing.end(body)
  return await promise
}
