import { HeraldError } from '../errors/herald-error.ts'
import { parseSubjectToken, type SubjectToken } from '../lattice/subjects.ts'

/** How a host presents itself to the operator. */
export type HostIdentity = {
  /** One subject token; upstream uses a UUID. Two hosts must never share it. */
  readonly hostId: string
  /** In Kubernetes the pod's IP: upstream's operator finds the Host of a deleted pod by it. */
  readonly hostname: string
  /** Name of the Host object, so a DNS-1123 subdomain; two hosts with one name overwrite each other. */
  readonly friendlyName: string
  /** Labels of the Host object. Upstream's own is `hostgroup`. */
  readonly labels: Readonly<Record<string, string>>
  readonly environment: string | undefined
  /** Version of Herald. */
  readonly version: string
}

/** @throws ERR_CONTROL_IDENTITY_INVALID or ERR_LATTICE_SUBJECT_INVALID, with what is wrong and how it should look */
export function checkHostIdentity(identity: HostIdentity): SubjectToken {
  const { hostId, hostname, friendlyName, labels } = identity
  if (
    friendlyName.length > 253 ||
    !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(friendlyName)
  ) {
    throw refused(
      `the friendly name ${show(friendlyName)} cannot name a Kubernetes object`,
      'use lower case letters, digits, - and . (DNS-1123)',
    )
  }
  if (hostname === '' || hostname.length > 253 || /[\s\u0000-\u001f\u007f]/.test(hostname)) {
    throw refused(
      `the host name ${show(hostname)} is not one`,
      'use the address of this machine; in Kubernetes the IP of the pod',
    )
  }
  for (const [key, value] of Object.entries(labels)) {
    const slash = key.indexOf('/')
    const prefix = slash === -1 ? undefined : key.slice(0, slash)
    const name = key.slice(slash + 1)
    const prefixOk =
      prefix === undefined ||
      (prefix.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(prefix))
    if (!prefixOk || !isLabelPart(name) || name === '')
      throw refused(
        `${show(key)} cannot be the key of a Kubernetes label`,
        'use letters, digits, - _ and ., at most 63, perhaps after a DNS prefix and /',
      )
    if (!isLabelPart(value))
      throw refused(
        `${show(value)} cannot be the value of the label ${show(key)}`,
        'use letters, digits, - _ and ., at most 63, a letter or digit at both ends',
      )
  }
  return parseSubjectToken(hostId, 'the host id')
}

function isLabelPart(text: string): boolean {
  return text === '' || (text.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text))
}

function refused(what: string, hint: string): HeraldError {
  return new HeraldError('ERR_CONTROL_IDENTITY_INVALID', what, { hint })
}

function show(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
