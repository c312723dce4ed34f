import type { Log } from '../../observability/log.ts'
import { splitCertificates } from '../../spiffe/x509-bundle.ts'
import { parseX509Svid, type X509Svid } from '../../spiffe/x509-svid.ts'

/** Those that can be used; the others are said to the log. `chain`: DER, leaf first, as a list or one after the other; `key`: PKCS#8, DER. */
export function readX509Svids(
  wire: readonly { readonly chain: readonly Buffer[] | Buffer; readonly key: Buffer }[],
  log: Log,
): readonly X509Svid[] {
  return wire.flatMap(({ chain, key }) => {
    try {
      return [parseX509Svid(Buffer.isBuffer(chain) ? splitCertificates(chain) : chain, key)]
    } catch (error) {
      log.error({ event: 'svid.x509.unreadable', err: error }, 'an X.509-SVID of SPIRE cannot be used')
      return []
    }
  })
}
