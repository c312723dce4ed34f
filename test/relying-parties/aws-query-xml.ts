import { randomUUID } from 'node:crypto'
import type { StandInResponse } from './http-stand-in.ts'

const xmlns = 'https://sts.amazonaws.com/doc/2011-06-15/'

export type XmlTree = { readonly [name: string]: string | XmlTree }

/** An error as STS words it: HTTP status, AWS's own code, a message for people. */
export class StsError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** A success of the AWS Query protocol: `<ActionResponse><ActionResult>…`. */
export function queryResult(action: string, result: XmlTree): StandInResponse {
  return respond(200, `${action}Response`, {
    [`${action}Result`]: result,
    ResponseMetadata: { RequestId: randomUUID() },
  })
}

export function queryError({ status, code, message }: StsError): StandInResponse {
  return respond(status, 'ErrorResponse', {
    Error: { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message },
    RequestId: randomUUID(),
  })
}

function respond(status: number, root: string, content: XmlTree): StandInResponse {
  return {
    status,
    headers: { 'content-type': 'text/xml', 'x-amzn-requestid': randomUUID() },
    body: `<${root} xmlns="${xmlns}">${render(content)}</${root}>\n`,
  }
}

function render(tree: XmlTree): string {
  return Object.entries(tree)
    .map(
      ([name, content]) => `<${name}>${typeof content === 'string' ? escapeXml(content) : render(content)}</${name}>`,
    )
    .join('')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
