import type { X509Certificate } from 'node:crypto'

/** What the extensions of a certificate limit it to (RFC 5280 §4.2.1), as far as node:crypto does not tell. */
export type CertificateLimits = {
  /** §4.2.1.3; undefined without the extension. */
  readonly keyUsage: { readonly signsCertificates: boolean; readonly signsRevocations: boolean } | undefined
  /** §4.2.1.9: most certificates between it and the leaf; undefined for any number. */
  readonly maxBelow: number | undefined
  /** §4.2.1.10, of URIs: host names, or with a dot before them domains. No `permitted` at all permits every host. */
  readonly hosts: { readonly permitted: readonly string[]; readonly excluded: readonly string[] }
}

const keyUsageOid = '551d0f'
const basicConstraintsOid = '551d13'
const nameConstraintsOid = '551d1e'
const tag = { integer: 0x02, octets: 0x04, uri: 0x86, extensions: 0xa3 } as const

/** @throws Error when it is no certificate in DER. */
export function limitsOf({ raw }: X509Certificate): CertificateLimits {
  const [certificate] = readAll(raw)
  const [signed] = readAll(certificate?.value)
  const explicit = readAll(signed?.value).find((each) => each.tag === tag.extensions)
  const extensions = new Map<string, Buffer>()
  for (const extension of readAll(readAll(explicit?.value)[0]?.value)) {
    const [oid, ...rest] = readAll(extension.value)
    const content = rest.find((each) => each.tag === tag.octets)
    if (oid !== undefined && content !== undefined) extensions.set(oid.value.toString('hex'), content.value)
  }
  const sequenceOf = (oid: string): readonly Element[] => readAll(readAll(extensions.get(oid))[0]?.value)
  const pathLength = sequenceOf(basicConstraintsOid).find((each) => each.tag === tag.integer)
  const [permitted, excluded] = [0xa0, 0xa1].map((subtrees) =>
    sequenceOf(nameConstraintsOid)
      .filter((each) => each.tag === subtrees)
      .flatMap(({ value }) => readAll(value).flatMap((subtree) => readAll(subtree.value)))
      .filter((each) => each.tag === tag.uri)
      .map(({ value }) => value.toString('latin1')),
  )
  const usage = readAll(extensions.get(keyUsageOid))[0]?.value
  return {
    // A BIT STRING: the number of unused bits, then digitalSignature as the highest bit.
    keyUsage: usage && {
      signsCertificates: ((usage[1] ?? 0) & 0x04) !== 0,
      signsRevocations: ((usage[1] ?? 0) & 0x02) !== 0,
    },
    maxBelow: pathLength && Number.parseInt(pathLength.value.toString('hex') || '0', 16),
    hosts: { permitted: permitted ?? [], excluded: excluded ?? [] },
  }
}

/** RFC 5280 §4.2.1.10: a host is itself; a domain, with a dot before it, is all hosts below it. */
export function permitsHost({ hosts: { permitted, excluded } }: CertificateLimits, host: string): boolean {
  const covers = (constraint: string): boolean =>
    constraint.startsWith('.') ? host.endsWith(constraint.toLowerCase()) : host === constraint.toLowerCase()
  return !excluded.some(covers) && (permitted.length === 0 || permitted.some(covers))
}

type Element = { readonly tag: number; readonly value: Buffer }

/** The elements that stand one after the other, in DER: definite lengths, tags of one byte. */
function readAll(der: Buffer | undefined): readonly Element[] {
  const elements: Element[] = []
  for (let at = 0; der !== undefined && at < der.length; ) {
    const first = der[at + 1] ?? 0
    const lengthBytes = first < 0x80 ? 0 : first - 0x80
    const from = at + 2 + lengthBytes
    if (lengthBytes > 4 || from > der.length) throw new Error('its extensions cannot be read')
    const end = from + (lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes))
    if (end > der.length) throw new Error('its extensions cannot be read')
    elements.push({ tag: der[at] ?? 0, value: der.subarray(from, end) })
    at = end
  }
  return elements
}
