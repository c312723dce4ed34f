// Says hello over HTTP, says who it is, and does the same from the command line.
import { getArguments } from 'wasi:cli/environment@0.2.10'
import { Refusal, spiffeId } from './identity.js'

const audience = 'sts.amazonaws.com'

// As in a service worker: no WIT to be seen. The engine answers one request with it and is then done.
addEventListener('fetch', (event) => event.respondWith(answer(new URL(event.request.url).pathname)))

function answer(path) {
  switch (path) {
    case '/':
      return text(200, 'hello from JavaScript')
    case '/whoami':
      try {
        return text(200, spiffeId(audience))
      } catch (error) {
        if (error instanceof Refusal) return text(error.status, error.message)
        throw error
      }
    default:
      return text(404, 'there is / and /whoami')
  }
}

function text(status, line) {
  return new Response(`${line}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } })
}

export const run = {
  run() {
    console.log(`hello from JavaScript, ${getArguments().slice(1).join(' ')}`)
    try {
      console.log(spiffeId(audience))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      console.error(error.message)
      // `run` is a result<_, _>: what is thrown is its error.
      throw undefined
    }
  },
}
