import { egressRefusalOf } from '../../federation/egress-signing.ts'
import { type CellCapability, type CellChannel, type RequestSigning, RequestSigningError } from '../capability.ts'
import type { EgressCellConfig, RejectedReport, SignAnswer, SignRequest } from './egress-answer.ts'

/** `herald:egress/signing` in the cell: it knows which origins are signed, asks the control thread for each request, and keeps nothing. */
export function openCapability(config: unknown, channel: CellChannel): CellCapability {
  const { signings } = config as EgressCellConfig
  const byOrigin = new Map(
    signings.map((signing, slot): [string, RequestSigning] => [
      signing.origin,
      {
        body: signing.method.kind === 'sigv4' && signing.method.payload === 'hashed' ? 'hashed' : 'streamed',
        refusalOf: (request) => egressRefusalOf(signing, request),
        async sign(head, { signal }) {
          const request: SignRequest = { slot, head }
          let answer: SignAnswer
          try {
            answer = (await channel.request('sign', request, { signal })) as SignAnswer
          } catch (cause) {
            signal.throwIfAborted()
            throw new RequestSigningError('the host could not sign: try again', { denied: false, cause })
          }
          if (answer.kind === 'refused') throw new RequestSigningError(answer.message, { denied: answer.denied })
          return answer
        },
        async rejected(credentialId, { signal }) {
          const report: RejectedReport = { slot, credentialId }
          await channel.request('rejected', report, { signal })
        },
      },
    ]),
  )
  return {
    prepare: () => ({}),
    requestSigner: { signingOf: (origin) => byOrigin.get(origin) },
  }
}
