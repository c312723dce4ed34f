import { hclText } from './hcl-text.ts'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder, TrustInput } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** One federated identity credential of an application: exact issuer, exact subject. */
export const trustAzure: TrustBuilder = {
  ...trustOptions.azure,
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
