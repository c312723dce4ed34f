import { HeraldError } from '../errors/herald-error.ts'

/** A registration entry of SPIRE: whom it matches, where, and what it gives. */
export type RegistrationEntry = {
  readonly id: string
  readonly spiffeId: string
  readonly parentId: string
  /** `wasmcloud:component:api-gateway` */
  readonly selectors: readonly string[]
  readonly hint?: string
  /** Without them the server's defaults hold. */
  readonly jwtSvidTtlS?: number
  readonly x509SvidTtlS?: number
  readonly federatesWith?: readonly string[]
  readonly dnsNames?: readonly string[]
  /** From then on the server removes it. */
  readonly expiresAt?: Date
  readonly createdAt?: Date
  /** Its SVIDs go to an SVIDStore plugin, and to no workload. */
  readonly storeSvid?: true
  /** Whoever has it may manage the SPIRE server. No delegate gets it. */
  readonly admin?: true
  /** Whoever has it may sign as a SPIRE server below this one. No delegate gets it. */
  readonly downstream?: true
}

/**
 * What `spire-server entry show -output json` prints.
 * @throws ERR_USAGE
 */
export function parseEntries(text: string): readonly RegistrationEntry[] {
  try {
    return (JSON.parse(text) as { entries: RawEntry[] }).entries.map(readEntry)
  } catch (cause) {
    throw new HeraldError('ERR_USAGE', 'the entries cannot be read', {
      hint: 'give what this prints: spire-server entry show -output json',
      cause,
    })
  }
}

export type RawId = { trust_domain: string; path: string }

/** `spire.api.types.Entry` by its own names, as JSON and the wire have it; older servers leave some out. */
export type RawEntry = {
  id: string
  spiffe_id: RawId
  parent_id: RawId
  selectors: { type: string; value: string }[]
  hint?: string
  jwt_svid_ttl?: number
  x509_svid_ttl?: number
  federates_with?: string[]
  dns_names?: string[]
  expires_at?: string | number
  created_at?: string | number
  store_svid?: boolean
  admin?: boolean
  downstream?: boolean
}

/** What an entry does not say is absent. @throws TypeError when a part that each entry has is missing */
export function readEntry(raw: RawEntry): RegistrationEntry {
  const [expiresAt, createdAt] = [dateOf(raw.expires_at), dateOf(raw.created_at)]
  return {
    id: `${raw.id}`,
    spiffeId: formatRawId(raw.spiffe_id),
    parentId: formatRawId(raw.parent_id),
    selectors: raw.selectors.map(({ type, value }) => `${type}:${value}`),
    ...(raw.hint && { hint: raw.hint }),
    ...(raw.jwt_svid_ttl && { jwtSvidTtlS: raw.jwt_svid_ttl }),
    ...(raw.x509_svid_ttl && { x509SvidTtlS: raw.x509_svid_ttl }),
    ...(raw.federates_with?.length && { federatesWith: raw.federates_with }),
    ...(raw.dns_names?.length && { dnsNames: raw.dns_names }),
    ...(expiresAt && { expiresAt }),
    ...(createdAt && { createdAt }),
    ...(raw.store_svid && { storeSvid: true }),
    ...(raw.admin && { admin: true }),
    ...(raw.downstream && { downstream: true }),
  }
}

export function formatRawId({ trust_domain, path }: RawId): string {
  return `spiffe://${trust_domain}${path}`
}

function dateOf(seconds: string | number | undefined): Date | undefined {
  const value = Number(seconds ?? 0)
  return value > 0 ? new Date(value * 1000) : undefined
}
