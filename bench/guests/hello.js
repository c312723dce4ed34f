import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.12'

const hello = new TextEncoder().encode('hello\n')
const contentType = new TextEncoder().encode('text/plain; charset=utf-8')

/** By the explicit export and not the fetch event: such an instance answers more than one request, on every host. */
export const incomingHandler = {
  handle(request, responseOut) {
    request[Symbol.dispose]?.()
    const response = new OutgoingResponse(Fields.fromList([['content-type', contentType]]))
    const body = response.body()
    ResponseOutparam.set(responseOut, { tag: 'ok', val: response })
    const stream = body.write()
    stream.blockingWriteAndFlush(hello)
    stream[Symbol.dispose]?.()
    OutgoingBody.finish(body, undefined)
  },
}
