import { createHash, randomUUID } from 'node:crypto'
import type { TemporaryCredentialStore } from './aws-temporary-credentials.ts'
import { type StandInRequest, type StandInResponse, startHttpStandIn } from './http-stand-in.ts'
import { isSignedWith, readSigV4 } from './sigv4-verifier.ts'

export type AwsBedrockStandInOptions = {
  readonly region: string
  readonly credentials: TemporaryCredentialStore
  readonly nowMs?: () => number
  readonly port?: number
  /** One line per request: what was decided, never a key. */
  readonly log?: (line: string) => void
}

/** How far a request's date may be off, ms: AWS allows five minutes. */
const clockSkewMs = 5 * 60_000

/**
 * Stands in for Amazon Bedrock's runtime: `POST /model/<id>/converse`, signed (SigV4) with credentials that the STS stand-in issued
 * and that still hold. The story is no model's: it says so itself.
 */
export async function startAwsBedrockStandIn(
  options: AwsBedrockStandInOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  const { region, credentials, nowMs = Date.now, port = 0, log = () => {} } = options

  function authenticate(request: StandInRequest): string {
    const claim = readSigV4(request.headers.authorization)
    if (claim === undefined)
      throw new BedrockError(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token')
    const known = credentials.find(claim.accessKeyId)
    if (known === undefined || request.headers['x-amz-security-token'] !== known.sessionToken) {
      throw new BedrockError(
        403,
        'UnrecognizedClientException',
        'The security token included in the request is invalid.',
      )
    }
    if (known.expiresAt.getTime() <= nowMs()) {
      throw new BedrockError(403, 'ExpiredTokenException', 'The security token included in the request is expired')
    }
    if (claim.region !== region || claim.service !== 'bedrock') {
      throw new BedrockError(
        403,
        'InvalidSignatureException',
        `Credential should be scoped to a valid region and to service 'bedrock'.`,
      )
    }
    if (!claim.signedHeaders.includes('x-amz-security-token') || !isSignedWith(known.secretAccessKey, claim, request)) {
      throw new BedrockError(
        403,
        'InvalidSignatureException',
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
      )
    }
    if (Math.abs(readTimestampMs(`${request.headers['x-amz-date']}`) - nowMs()) > clockSkewMs) {
      throw new BedrockError(
        403,
        'InvalidSignatureException',
        'Signature expired: the date of the request is more than 5 minutes off',
      )
    }
    return known.principalArn
  }

  async function answer(request: StandInRequest): Promise<StandInResponse> {
    try {
      const principal = authenticate(request)
      const path = /^\/model\/([^/?]+)\/converse$/.exec(request.target)
      if (path === null || request.method !== 'POST')
        throw new BedrockError(404, 'UnknownOperationException', 'the stand-in knows Converse only')
      const modelId = decodeURIComponent(path[1] ?? '')
      if (!/^([a-z]{2}\.)?amazon\.nova-[\w.:-]+$/.test(modelId)) {
        throw new BedrockError(400, 'ValidationException', 'The provided model identifier is invalid.')
      }
      const prompt = readPrompt(request.body)
      log(`AWS Bedrock stand-in: ${principal} asked ${modelId}`)
      return converseResponse(prompt)
    } catch (error) {
      if (!(error instanceof BedrockError)) throw error
      log(`AWS Bedrock stand-in: refused with ${error.code}`)
      return {
        status: error.status,
        headers: {
          'content-type': 'application/json',
          'x-amzn-errortype': `${error.code}:`,
          'x-amzn-requestid': randomUUID(),
        },
        body: JSON.stringify({ message: error.message }),
      }
    }
  }

  return startHttpStandIn(answer, { port })
}

class BedrockError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** `20260801T120000Z` → ms since the epoch; NaN when it is not one. */
function readTimestampMs(timestamp: string): number {
  return Date.parse(timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function readPrompt(body: Buffer): string {
  try {
    const { messages } = JSON.parse(body.toString('utf8')) as {
      messages: { role: string; content: { text?: string }[] }[]
    }
    const last = messages.findLast(({ role }) => role === 'user')
    const text = last?.content.map((part) => part.text ?? '').join('\n') ?? ''
    if (text !== '') return text
  } catch {
    // said below
  }
  throw new BedrockError(
    400,
    'ValidationException',
    'The request needs messages, and in the last one of the user a text.',
  )
}

function converseResponse(prompt: string): StandInResponse {
  const text = tellStory(prompt)
  const [inputTokens, outputTokens] = [prompt, text].map((words) => words.split(/\s+/).length) as [number, number]
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-amzn-requestid': randomUUID() },
    body: JSON.stringify({
      metrics: { latencyMs: 1 },
      output: { message: { role: 'assistant', content: [{ text }] } },
      stopReason: 'end_turn',
      usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens },
    }),
  }
}

/** The same prompt gives the same story. */
function tellStory(prompt: string): string {
  const digest = createHash('sha256').update(prompt).digest()
  const pick = (at: number, from: readonly string[]) => from[digest[at]! % from.length]
  return [
    '[Told by the Bedrock stand-in, no model was asked.]',
    `You asked for: “${prompt.length > 120 ? `${prompt.slice(0, 119)}…` : prompt}”.`,
    `At the gate of the ${pick(0, ['harbour', 'library', 'observatory', 'old mint'])} stood a ${pick(1, ['courier', 'small machine', 'locksmith', 'lamplighter'])}`,
    `with empty pockets. “Your key?” asked the guard. “I have none,” it said, “only a letter that says who I am, and it ${pick(2, ['fades by evening', 'is good for an hour', 'cannot be copied'])}.”`,
    `The guard held it to the ${pick(3, ['sun', 'lantern', 'window'])}, knew the seal, and opened. Nothing was left behind that anyone could steal.`,
  ].join(' ')
}
