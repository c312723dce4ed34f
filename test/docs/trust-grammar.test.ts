// What docs/federation prints for the clouds and for Vault, which cannot be applied here, keeps to the grammar that each of them publishes: names, lengths, known
// keys and operators. Structure only: whether they let somebody in is what the tests of test/federation show, with stand-ins.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocksOf } from './document-blocks.ts'
import { commandsOfBlock } from './document-commands.ts'

/** The printed block of a page that calls this program. */
function blockOf(page: string, program: string) {
  const block = blocksOf(`docs/federation/${page}.md`).find(
    (each) => each.language === 'sh' && commandsOfBlock(each).some((command) => command.program === program),
  )
  assert.ok(block !== undefined, `${page} calls no ${program}`)
  const commands = commandsOfBlock(block).flatMap(({ program: name, words }) => (name === program ? [words] : []))
  const files = new Map(
    [...block.text.matchAll(/^cat > (\S+) <<'HERALD_END'\n([\s\S]*?)^HERALD_END$/gm)].map(
      ([, name = '', text = '']) => [name, text],
    ),
  )
  const file = (name: string): string => files.get(name) ?? assert.fail(`${page} writes no ${name}`)
  return { commands, file, json: (name: string) => JSON.parse(file(name)) }
}

const optionOf = (words: readonly string[], name: string): string => {
  const joined = words.find((word) => word.startsWith(`${name}=`))
  return joined?.slice(name.length + 1) ?? words[words.indexOf(name) + 1] ?? ''
}
const onlyKeys = (value: object, keys: readonly string[]) =>
  assert.deepEqual(
    Object.keys(value).filter((key) => !keys.includes(key)),
    [],
  )

type Statement = {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource?: string | readonly string[]
  readonly Principal?: { readonly Federated: string }
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

// IAM User Guide, "Grammar of the IAM JSON policy language", "IAM and AWS STS quotas", "Creating a role for OIDC federation".
test('AWS: the trust policy and the permissions are policies of IAM’s language, within its quotas', () => {
  const { commands, file, json } = blockOf('aws', 'aws')
  const trust = json('trust-policy.json') as { Version: string; Statement: Statement[] }
  onlyKeys(trust, ['Version', 'Id', 'Statement'])
  assert.equal(trust.Version, '2012-10-17')
  const [statement] = trust.Statement
  assert.ok(statement?.Principal && statement.Condition && trust.Statement.length === 1)
  onlyKeys(statement, ['Sid', 'Effect', 'Principal', 'Action', 'Condition'])
  assert.deepEqual([statement.Effect, statement.Action], ['Allow', 'sts:AssumeRoleWithWebIdentity'])
  const [, provider = ''] = /^arn:aws:iam::\d{12}:oidc-provider\/(.+)$/.exec(statement.Principal.Federated) ?? []
  assert.deepEqual(Object.keys(statement.Condition), ['StringEquals'])
  assert.deepEqual(Object.keys(statement.Condition.StringEquals ?? {}).sort(), [`${provider}:aud`, `${provider}:sub`])
  assert.ok(file('trust-policy.json').replace(/\s/g, '').length <= 2048)

  const permissions = json('permissions.json') as { Version: string; Statement: Statement[] }
  onlyKeys(permissions, ['Version', 'Id', 'Statement'])
  for (const each of permissions.Statement) {
    onlyKeys(each, ['Sid', 'Effect', 'Action', 'Resource', 'Condition'])
    for (const action of [each.Action].flat()) assert.match(action, /^[a-z0-9-]+:[A-Za-z*]+$/)
    for (const resource of [each.Resource ?? []].flat())
      assert.match(resource, /^(arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d*:.+|\*)$/)
  }
  assert.ok(file('permissions.json').replace(/\s/g, '').length <= 10_240)

  const role = commands.find((words) => words[1] === 'create-role') ?? []
  assert.match(optionOf(role, '--role-name'), /^[\w+=,.@-]{1,64}$/)
  const session = Number(optionOf(role, '--max-session-duration'))
  assert.ok(session >= 3600 && session <= 43_200)
  const oidc = commands.find((words) => words[1] === 'create-open-id-connect-provider') ?? []
  assert.equal(optionOf(oidc, '--url'), `https://${provider}`)
})

// Cloud IAM REST reference, workloadIdentityPools.providers; "external account" credential configuration, google.aip.dev/auth/4117.
test('Google Cloud: pool, provider, mapping and condition are of the form that IAM takes', () => {
  const { commands, json } = blockOf('gcp', 'gcloud')
  const create = commands.find((words) => words.includes('create-oidc')) ?? []
  const provider = create[create.indexOf('create-oidc') + 1] ?? ''
  for (const id of [provider, optionOf(create, '--workload-identity-pool')]) {
    assert.match(id, /^[a-z0-9-]{4,32}$/)
    assert.doesNotMatch(id, /^gcp-/)
  }
  assert.match(optionOf(create, '--project'), /^\d+$/)
  assert.match(optionOf(create, '--issuer-uri'), /^https:\/\//)
  assert.equal(optionOf(create, '--attribute-mapping'), 'google.subject=assertion.sub')
  const audience = optionOf(create, '--allowed-audiences')
  assert.ok(audience.length <= 256 && audience.endsWith(`/providers/${provider}`))
  const account = json('external-account.json') as Record<string, string>
  onlyKeys(account, [
    ...['type', 'audience', 'subject_token_type', 'token_url', 'service_account_impersonation_url'],
    'credential_source',
  ])
  assert.equal(account.type, 'external_account')
  assert.equal(`https:${account.audience}`, audience)
  assert.equal(account.subject_token_type, 'urn:ietf:params:oauth:token-type:jwt')
})

// Microsoft Graph v1.0, resource type federatedIdentityCredential.
test('Entra: the federated credential has the fields of the resource, within their lengths', () => {
  const credential = blockOf('azure', 'az').json('federated-credential.json') as {
    name: string
    issuer: string
    subject: string
    audiences: string[]
    description: string
  }
  onlyKeys(credential, ['name', 'issuer', 'subject', 'audiences', 'description', 'claimsMatchingExpression'])
  assert.match(credential.name, /^[A-Za-z0-9][A-Za-z0-9_-]{2,119}$/)
  assert.match(credential.issuer, /^https:\/\//)
  assert.ok([credential.issuer, credential.subject, credential.description].every((text) => text.length <= 600))
  assert.equal(credential.audiences.length, 1)
})

// Vault documentation, "JWT/OIDC auth method (API)", "Policies".
test('Vault: the role has parameters of the method, the policy is a path with capabilities that there are', () => {
  const { commands, file, json } = blockOf('vault', 'vault')
  const role = json('role.json') as Record<string, unknown>
  onlyKeys(role, [
    ...['role_type', 'bound_audiences', 'user_claim', 'bound_subject', 'bound_claims', 'claim_mappings'],
    ...['token_policies', 'token_ttl', 'token_max_ttl', 'token_no_default_policy', 'token_type', 'token_period'],
  ])
  assert.equal(role.role_type, 'jwt')
  for (const ttl of [role.token_ttl, role.token_max_ttl]) assert.match(String(ttl), /^\d+[smh]?$/)
  const policy = /^path "[\w/+*-]+" \{\n {2}capabilities = \[((?:"[a-z]+"(?:, )?)+)\]\n\}\n$/.exec(file('policy.hcl'))
  const known = ['create', 'read', 'update', 'patch', 'delete', 'list', 'sudo', 'deny', 'subscribe', 'recover']
  const capabilities = [...(policy?.[1] ?? '').matchAll(/"([a-z]+)"/g)].map(([, name = '']) => name)
  assert.ok(capabilities.length > 0 && capabilities.every((name) => known.includes(name)), file('policy.hcl'))
  const config = commands.find((words) => words.includes('auth/jwt/config')) ?? []
  assert.match(optionOf(config, 'oidc_discovery_url'), /^https:\/\//)
  assert.deepEqual(role.token_policies, [commands.find((words) => words[0] === 'policy')?.[2]])
})
