import { HeraldError } from '../../errors/herald-error.ts'
import { hclText } from './hcl-text.ts'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder, TrustInput, TrustStep } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

const maxSubjectBytes = 127

/** Workload identity pool and provider that accept this SPIFFE ID only, and a principal to grant roles to. */
export const trustGcp: TrustBuilder = {
  ...trustOptions.gcp,
  build(input) {
    return {
      kind: 'gcp',
      steps: input.format === 'terraform' ? terraform(input) : commands(input),
      notes: [
        `Ask for the audience ${audienceOf(input)}.`,
        `Grant roles to ${principalOf(input)}.`,
        ...(Buffer.byteLength(input.spiffeId) > maxSubjectBytes
          ? [
              'The SPIFFE ID is longer than the 127 bytes of google.subject, so that only its path is mapped; the condition still compares all of it.',
            ]
          : []),
      ],
    }
  },
}

const resourceOf = (input: TrustInput) =>
  `projects/${input.one('project-number')}/locations/global/workloadIdentityPools/${input.one('pool')}`

function audienceOf(input: TrustInput): string {
  return input.audience || `https://iam.googleapis.com/${resourceOf(input)}/providers/${input.one('provider')}`
}

/** The mapping of google.subject, and the subject it gives. @throws ERR_FEDERATION_BINDING_INVALID when not even the path fits. */
function subjectOf(input: TrustInput): { mapping: string; subject: string } {
  if (Buffer.byteLength(input.spiffeId) <= maxSubjectBytes) return { mapping: 'assertion.sub', subject: input.spiffeId }
  const subject = input.spiffeId.slice(`spiffe://${input.trustDomain}/`.length)
  if (Buffer.byteLength(subject) > maxSubjectBytes) {
    throw new HeraldError(
      'ERR_FEDERATION_BINDING_INVALID',
      `the path of ${input.spiffeId} has ${Buffer.byteLength(subject)} bytes, google.subject holds ${maxSubjectBytes}`,
      { hint: 'register the component under a shorter SPIFFE ID: herald trust spire --spiffe-id …' },
    )
  }
  return { mapping: `assertion.sub.extract('spiffe://${input.trustDomain}/{id}')`, subject }
}

const principalOf = (input: TrustInput) =>
  `principal://iam.googleapis.com/${resourceOf(input)}/subject/${subjectOf(input).subject}`

/** A SPIFFE ID holds no quote and no backslash, so it stands in CEL as it is. */
const conditionOf = (input: TrustInput) => `assertion.sub == '${input.spiffeId}'`

function commands(input: TrustInput): readonly TrustStep[] {
  const serviceAccount = input.optional('service-account')
  const project = ['--project', input.one('project-number')]
  const credentials = {
    type: 'external_account',
    audience: `//iam.googleapis.com/${resourceOf(input)}/providers/${input.one('provider')}`,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    ...(serviceAccount !== undefined && {
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken`,
    }),
    credential_source: { file: '/var/run/herald/token' },
  }
  return [
    {
      kind: 'command',
      command: shellCommand(
        'gcloud',
        'iam',
        'workload-identity-pools',
        'create',
        input.one('pool'),
        ['--location', 'global'],
        project,
      ),
    },
    {
      kind: 'command',
      command: shellCommand(
        'gcloud',
        'iam',
        'workload-identity-pools',
        'providers',
        'create-oidc',
        input.one('provider'),
        ['--location', 'global'],
        project,
        ['--workload-identity-pool', input.one('pool')],
        ['--issuer-uri', input.issuer],
        ['--allowed-audiences', audienceOf(input)],
        [`--attribute-mapping=google.subject=${subjectOf(input).mapping}`],
        [`--attribute-condition=${conditionOf(input)}`],
      ),
    },
    ...(serviceAccount === undefined
      ? []
      : [
          {
            kind: 'command' as const,
            command: shellCommand(
              'gcloud',
              'iam',
              'service-accounts',
              'add-iam-policy-binding',
              serviceAccount,
              ['--role', 'roles/iam.workloadIdentityUser'],
              ['--member', principalOf(input)],
            ),
          },
        ]),
    { kind: 'file', path: 'external-account.json', text: `${JSON.stringify(credentials, undefined, 2)}\n` },
  ]
}

function terraform(input: TrustInput): readonly TrustStep[] {
  const id = input.name.replaceAll('-', '_')
  const serviceAccount = input.optional('service-account')
  const text = `resource "google_iam_workload_identity_pool" "${id}" {
  project                   = ${hclText(input.one('project-number'))}
  workload_identity_pool_id = ${hclText(input.one('pool'))}
}

resource "google_iam_workload_identity_pool_provider" "${id}" {
  project                            = ${hclText(input.one('project-number'))}
  workload_identity_pool_id          = google_iam_workload_identity_pool.${id}.workload_identity_pool_id
  workload_identity_pool_provider_id = ${hclText(input.one('provider'))}
  attribute_mapping                  = { "google.subject" = ${hclText(subjectOf(input).mapping)} }
  attribute_condition                = ${hclText(conditionOf(input))}
  oidc {
    issuer_uri        = ${hclText(input.issuer)}
    allowed_audiences = [${hclText(audienceOf(input))}]
  }
}
${
  serviceAccount === undefined
    ? ''
    : `
resource "google_service_account_iam_member" "${id}" {
  service_account_id = ${hclText(`projects/-/serviceAccounts/${serviceAccount}`)}
  role               = "roles/iam.workloadIdentityUser"
  member             = ${hclText(principalOf(input))}
}
`
}`
  return [{ kind: 'file', path: `${input.name}.tf`, text }]
}
