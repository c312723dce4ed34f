// What a signed request costs the control thread, from the cell's message to the answer, without the way between threads.
import { parseSignRequest } from '../src/capabilities/egress/sign-request.ts'
import { Credentials } from '../src/federation/credentials.ts'
import { createHeadSigner, egressRefusalOf, parseEgressSigning } from '../src/federation/egress-signing.ts'
import { type BenchRun, summarize } from './result.ts'

const signing = parseEgressSigning('bench', {
  host: 'https://letters.s3.eu-central-1.amazonaws.com',
  'sigv4-service': 's3',
  provider: 'aws',
  'role-arn': 'arn:aws:iam::123456789012:role/letters-reader',
  region: 'eu-central-1',
})
const secret = {
  kind: 'aws',
  accessKeyId: 'ASIAEXAMPLEEXAMPLE00',
  secretAccessKey: 'x'.repeat(40),
  // As long as those of STS are.
  sessionToken: 'x'.repeat(900),
  region: 'eu-central-1',
} as const

export const run: BenchRun = async ({ rounds, secondsPerRound, say }) => {
  const signer = createHeadSigner(signing, new Credentials(secret, new Date(Date.now() + 900_000)))
  const message = (index: number): unknown => ({
    slot: 0,
    head: {
      method: 'GET',
      path: `/folder/${index}?versionId=3&partNumber=1`,
      headers: [
        ['content-type', 'application/octet-stream'],
        ['x-amz-meta-from', 'herald'],
        ['accept', '*/*'],
      ],
      bodySha256: undefined,
    },
  })
  const us: number[] = []
  let index = 0
  for (let round = 0; round <= rounds; round++) {
    const began = performance.now()
    const from = index
    while (performance.now() - began < secondsPerRound * 1000) {
      const { head } = parseSignRequest(message(index++))
      if (egressRefusalOf(signing, head) !== undefined) throw new Error('refused')
      signer.sign(head, Date.now())
    }
    const perRequest = ((performance.now() - began) * 1000) / (index - from)
    say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${perRequest.toFixed(1)} µs`)
    if (round > 0) us.push(perRequest)
  }
  return [summarize('SigV4 for one request: check, policy, signature', 'µs', us, { comparison: '≤', value: 60 })]
}
