import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
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
        ...('socketPath' in signing && { connect: tunnelled(signing.socketPath) }),
        refusalOf: (request) => egressRefusalOf(signing, request),
        async sign(head, { signal, trace }) {
          const request: SignRequest = { slot, head }
          let answer: SignAnswer
          try {
            answer = (await channel.request('sign', request, { signal, trace })) as SignAnswer
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

/** Connections over the control thread's socket, which encrypts them: see CertificateTunnel. */
function tunnelled(socketPath: string): (address: string) => Promise<Duplex> {
  return (address) =>
    new Promise((resolve, reject) => {
      const socket = connect(socketPath)
      const fail = (code: string): void => reject(Object.assign(new Error('no mutual TLS with the server'), { code }))
      let head = Buffer.alloc(0)
      const onData = (chunk: Buffer): void => {
        head = Buffer.concat([head, chunk])
        const at = head.indexOf(0x0a)
        if (at === -1) return
        // Left flowing, as the HTTP client wants it: no server speaks before it is asked.
        socket.off('data', onData).off('close', onClose).off('error', onClose)
        const line = head.subarray(0, at).toString('latin1')
        if (line !== 'ok') {
          socket.destroy()
          fail(line.slice('error '.length))
          return
        }
        resolve(socket)
      }
      const onClose = (): void => fail('ECONNRESET')
      socket.on('data', onData).once('close', onClose).once('error', onClose)
      // Between here and the client's own listener nobody may miss an error.
      socket.on('error', () => {})
      socket.write(`${address}\n`)
    })
}
