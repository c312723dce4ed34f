import { HeraldError } from '../errors/herald-error.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe/spiffe-id.ts'
import { parseEgressHost } from './egress-signing.ts'

/** Requests to one origin go out in mutual TLS, with the component's X.509-SVID as the client certificate. */
export type EgressCertificate = {
  /** `https://api.example.com:443`, always with its port. */
  readonly origin: string
  readonly method: { readonly kind: 'client-certificate' }
  /** Who the server must be, by the authorities of that trust domain; without it by its host name and the system's authorities. */
  readonly serverId: SpiffeId | undefined
}

/**
 * Strict, from texts: `host` (an origin), `client-certificate: x509-svid`, `server-spiffe-id`. @returns undefined for an entry that says nothing of a certificate
 * @throws ERR_FEDERATION_BINDING_INVALID
 */
export function parseEgressCertificate(
  name: string,
  config: Readonly<Record<string, string>>,
): EgressCertificate | undefined {
  const { host, 'client-certificate': certificate, 'server-spiffe-id': serverId, ...rest } = config
  if (certificate === undefined && serverId === undefined) return undefined
  const refuse = (what: string, hint: string): never => {
    throw new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:egress ${JSON.stringify(name)}: ${what}`, { hint })
  }
  if (certificate !== 'x509-svid') refuse('"client-certificate" can only be x509-svid', 'Write it so.')
  const [other] = Object.keys(rest)
  if (other !== undefined) {
    refuse(`it has ${JSON.stringify(other.slice(0, 80))} beside "client-certificate"`, 'Keep one of them.')
  }
  const origin = parseEgressHost(name, host)
  if (!origin.startsWith('https:')) refuse('"host" is no https origin', 'A certificate is shown in TLS only.')
  let id: SpiffeId | undefined
  try {
    id = serverId === undefined ? undefined : parseSpiffeId(serverId)
  } catch (error) {
    refuse(`"server-spiffe-id" is no SPIFFE ID`, (error as Error).message)
  }
  return { origin, method: { kind: 'client-certificate' }, serverId: id }
}
