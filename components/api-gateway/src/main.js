import { getEnvironment } from 'wasi:cli/environment@0.2.12'
import { get } from 'wasmcloud:identity/store@0.0.1'
import { readConfiguration } from './configuration.js'
import { createGateway } from './gateway.js'
import { readRequest, sendResponse } from './wasi-http.js'

// Made by the first request and not at the top level: the top level runs while the component is built, where there is neither
// an environment nor an identity.
let gateway

export const incomingHandler = {
  async handle(incomingRequest, responseOut) {
    gateway ??= createGateway({
      configuration: readConfiguration(Object.fromEntries(getEnvironment())),
      getToken: get,
      now: () => Date.now(),
    })
    await sendResponse(responseOut, await gateway.answer(readRequest(incomingRequest)))
  },
}
