/** Why a relying party refuses a token, or may. Stable: documents and tests name them. */
export const causes = {
  'audience-not-listed': 'the workload may not ask for the audience',
  'token-padded': 'white space stands before or after the token',
  'issuer-missing': 'the token has no iss',
  'issuer-unwanted': 'the relying party takes tokens without iss only',
  'issuer-not-a-url': 'iss is not a URL',
  'issuer-not-https': 'iss is not an https URL',
  'issuer-has-port': 'iss names a port',
  'issuer-has-query': 'iss has a query or a fragment',
  'issuer-too-long': 'iss is longer than the relying party stores',
  'issuer-not-public': 'iss cannot be reached from the internet',
  'issuer-trailing-slash': 'iss and the trusted issuer differ by a trailing slash',
  'issuer-differs': 'iss is not the trusted issuer',
  'algorithm-refused': 'the relying party does not accept the signature algorithm',
  'algorithm-untested': 'the relying party does not promise the signature algorithm',
  'discovery-unreachable': 'the discovery document cannot be read',
  'discovery-issuer-differs': 'the discovery document names another issuer than the token',
  'discovery-without-keys': 'the discovery document leads to no keys',
  'jwks-url-not-allowed': 'the relying party may not fetch the key set from its URL',
  'kid-missing': 'the token names no key',
  'key-unknown': 'the key set does not hold the key that signed the token',
  'key-type-differs': 'the published key does not fit the signature algorithm',
  'key-use-missing': 'the published keys do not say what they are for',
  'signature-invalid': 'the signature does not fit the published key',
  'issued-in-future': 'iat is in the future',
  expired: 'exp is in the past',
  'iat-missing': 'the token has no iat',
  'lifetime-too-long': 'the token lives longer than the relying party accepts',
  'audience-not-single': 'the token has several audiences',
  'audience-trailing-slash': 'aud and the expected audience differ by a trailing slash',
  'audience-differs': 'the expected audience is not in aud',
  'subject-missing': 'the token has no SPIFFE ID as its sub',
  'subject-too-long': 'sub is longer than the relying party stores',
  'trust-domain-differs': 'sub is in another trust domain',
  'subject-differs': 'sub is not the expected subject',
  'role-type-oidc': "the relying party's role is for people who log in with a browser",
  'claim-rule-unsatisfiable': 'a rule reads a claim that JWT-SVIDs do not have',
} as const

export type Cause = keyof typeof causes

export type Finding = {
  readonly cause: Cause
  /** `refuses`: it will not work. `risks`: it may, or not always. */
  readonly severity: 'refuses' | 'risks'
  /** The two values that do not fit, for a person. No token. */
  readonly detail: string
  /** Command or configuration line that mends it. */
  readonly mend: string
}
