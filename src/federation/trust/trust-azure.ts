import { hclText } from './hcl-text.ts'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder, TrustInput } from './trust-builder.ts'

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** One federated identity credential of an application: exact issuer, exact subject. */
export const trustAzure: TrustBuilder = {
  kind: 'azure',
  title: 'Microsoft Entra: federated identity credential',
  formats: ['commands', 'terraform'],
  needsIssuer: true,
  audience: 'api://AzureADTokenExchange',
  settings: [
    {
      name: 'client-id',
      meaning: 'application (client) ID',
      example: '00000000-0000-0000-0000-000000000000',
      pattern: guid,
      required: true,
    },
  ],
  build: (input) => ({
    kind: 'azure',
    steps:
      input.format === 'terraform'
        ? [{ kind: 'file', path: `${input.name}.tf`, text: terraform(input) }]
        : [
            {
              kind: 'file',
              path: 'federated-credential.json',
              text: `${JSON.stringify(
                {
                  name: input.name,
                  issuer: input.issuer,
                  subject: input.spiffeId,
                  audiences: [input.audience],
                  description: `Herald component ${input.spiffeId}`,
                },
                undefined,
                2,
              )}\n`,
            },
            {
              kind: 'command',
              command: shellCommand(
                'az',
                'ad',
                'app',
                'federated-credential',
                'create',
                ['--id', input.one('client-id')],
                ['--parameters', '@federated-credential.json'],
              ),
            },
          ],
    notes: [
      'A new credential can answer AADSTS70021 for some minutes; Herald tries again.',
      'Entra is only tested with RS256: set jwt_key_type = "rsa-2048" in the SPIRE server if a token is refused.',
    ],
  }),
}

function terraform(input: TrustInput): string {
  const id = input.name.replaceAll('-', '_')
  return `data "azuread_application" "${id}" {
  client_id = ${hclText(input.one('client-id'))}
}

resource "azuread_application_federated_identity_credential" "${id}" {
  application_id = data.azuread_application.${id}.id
  display_name   = ${hclText(input.name)}
  issuer         = ${hclText(input.issuer)}
  subject        = ${hclText(input.spiffeId)}
  audiences      = [${hclText(input.audience)}]
}
`
}
