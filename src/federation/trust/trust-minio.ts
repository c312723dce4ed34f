import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/**
 * MinIO gives its one role to every token of the audience, so the policy itself names the subject: `jwt:sub` is a condition key of MinIO's
 * policies. Another component with the same audience gets credentials that may do nothing.
 */
export const trustMinio: TrustBuilder = {
  ...trustOptions.minio,
  build(input) {
    const bucket = input.one('bucket')
    const condition = { StringEquals: { 'jwt:sub': input.spiffeId } }
    const objectActions = ['s3:GetObject', ...(input.one('write') === 'yes' ? ['s3:PutObject', 's3:DeleteObject'] : [])]
    const policy = {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: ['s3:ListBucket'], Resource: [`arn:aws:s3:::${bucket}`], Condition: condition },
        { Effect: 'Allow', Action: objectActions, Resource: [`arn:aws:s3:::${bucket}/*`], Condition: condition },
      ],
    }
    return {
      kind: 'minio',
      steps: [
        { kind: 'file', path: 'policy.json', text: `${JSON.stringify(policy, undefined, 2)}\n` },
        {
          kind: 'command',
          command: shellCommand('mc', 'admin', 'policy', 'create', input.one('alias'), input.name, 'policy.json'),
        },
        {
          kind: 'file',
          path: 'minio.env',
          text: [
            `MINIO_IDENTITY_OPENID_CONFIG_URL=${input.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
            `MINIO_IDENTITY_OPENID_CLIENT_ID=${input.audience}`,
            `MINIO_IDENTITY_OPENID_ROLE_POLICY=${input.name}`,
            '',
          ].join('\n'),
        },
      ],
      notes: [
        'Create the policy first, then restart MinIO with minio.env: it prints the ARN of the role to assume.',
        'MinIO does not look at iss. Its role belongs to the audience, hence the condition on jwt:sub.',
        'For several workloads create one policy each and list them: MINIO_IDENTITY_OPENID_ROLE_POLICY=one,two.',
      ],
    }
  },
}
