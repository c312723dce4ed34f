import { HeraldError } from '../errors/herald-error.ts'
import { audienceOf, type Binding } from './binding.ts'

/** What an SDK that knows nothing of Herald is told, in the files and variables that it reads by itself. */
export type SdkFiles = {
  /** Of the JWT-SVID in the file `token`. */
  readonly audience: string
  /** Beside `token`: name → content. Never a secret. */
  readonly files: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string>>
}

/**
 * `directory`: where the component sees the files.
 * @throws ERR_FEDERATION_BINDING_INVALID for what no SDK reads from a file: other providers, and keys that an SDK would not honour
 */
export function sdkFilesOf(name: string, binding: Binding, directory: string): SdkFiles {
  const refuse = (what: string, hint: string): never => {
    throw new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:credentials ${JSON.stringify(name)}: ${what}`, {
      hint,
    })
  }
  const token = `${directory}/token`
  const audience = audienceOf(binding)
  switch (binding.provider) {
    case 'aws': {
      const { 'chain-role-arns': chain, 'session-tags': tags, 'external-id': externalId } = binding
      if (chain.length + tags.length > 0 || externalId !== undefined)
        refuse('an SDK does not chain roles, tag sessions or give an external id', 'Use interfaces: [store] for that.')
      return {
        audience,
        files: {},
        environment: {
          AWS_WEB_IDENTITY_TOKEN_FILE: token,
          AWS_ROLE_ARN: binding['role-arn'],
          AWS_REGION: binding.region,
          ...(binding['session-name'] !== undefined && { AWS_ROLE_SESSION_NAME: binding['session-name'] }),
          ...(binding['sts-endpoint'] !== undefined && { AWS_ENDPOINT_URL_STS: binding['sts-endpoint'] }),
        },
      }
    }
    case 'gcp': {
      const { 'service-account': account, 'impersonation-endpoint': impersonation } = binding
      const configuration = {
        type: 'external_account',
        audience: `//iam.googleapis.com/${binding['workload-identity-provider']}`,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        token_url: binding['token-endpoint'],
        credential_source: { file: token },
        ...(account !== undefined && {
          service_account_impersonation_url: `${impersonation}/v1/projects/-/serviceAccounts/${account}:generateAccessToken`,
          service_account_impersonation: { token_lifetime_seconds: binding['duration-s'] },
        }),
      }
      return {
        audience,
        files: { 'credentials.json': `${JSON.stringify(configuration, undefined, 2)}\n` },
        environment: { GOOGLE_APPLICATION_CREDENTIALS: `${directory}/credentials.json` },
      }
    }
    case 'azure':
      return {
        audience,
        files: {},
        environment: {
          AZURE_FEDERATED_TOKEN_FILE: token,
          AZURE_CLIENT_ID: binding['client-id'],
          AZURE_TENANT_ID: binding['tenant-id'],
          AZURE_AUTHORITY_HOST: binding.authority,
        },
      }
    case 'jwt-svid':
      return { audience, files: {}, environment: {} }
    default:
      return refuse(`no SDK reads files for provider ${binding.provider}`, 'Choose aws, gcp, azure or jwt-svid.')
  }
}
