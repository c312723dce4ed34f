import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { hclText } from '../../src/federation/trust/hcl-text.ts'
import { type TrustKind, trustKinds } from '../../src/federation/trust/trust-builder.ts'
import { nameFor, type TrustRequest, trustBuilders, trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { trustScript } from '../../src/federation/trust/trust-script.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'

const complete = (kind: TrustKind): TrustRequest => ({
  spiffeId: 'spiffe://example.org/default/api-gateway',
  issuer: 'https://oidc.example.org',
  audience: trustBuilders[kind].audience === undefined ? 'https://party.example.org' : undefined,
  settings: Object.fromEntries(
    trustBuilders[kind].settings.filter(({ required }) => required).map(({ name, example }) => [name, example]),
  ),
})

for (const kind of trustKinds) {
  test(`trust ${kind}: each required setting, left out, is named`, () => {
    for (const { name } of trustBuilders[kind].settings.filter(({ required }) => required)) {
      const request = complete(kind)
      assert.throws(
        () => trustPolicy(kind, { ...request, settings: { ...request.settings, [name]: undefined } }),
        (error) =>
          isHeraldError(error, 'ERR_FEDERATION_BINDING_INVALID') && error.message.includes(`--${name} is missing`),
      )
    }
  })

  test(`trust ${kind}: every setting refuses shell, quotes, line breaks and templates`, () => {
    for (const { name } of trustBuilders[kind].settings) {
      for (const hostile of ['$(id)\n', "'; rm -rf ~; '", '"}\n{"', 'x\nHERALD_END\nid', '`id`\n']) {
        const request = complete(kind)
        const settings = { ...request.settings, [name]: hostile }
        assert.throws(() => trustPolicy(kind, { ...request, settings }), `${name} took ${JSON.stringify(hostile)}`)
      }
    }
  })

  test(`trust ${kind}: every example given in the help is accepted, and the policy names the SPIFFE ID`, () => {
    const request = complete(kind)
    const settings = Object.fromEntries(
      trustBuilders[kind].settings.filter(({ name }) => name !== 'ca').map(({ name, example }) => [name, example]),
    )
    assert.match(
      trustScript(trustPolicy(kind, { ...request, settings })),
      /spiffe:\/\/example\.org\/default\/api-gateway/,
    )
  })

  test(`trust ${kind}: an unknown setting, a SPIFFE ID without path and a hostile issuer are refused`, () => {
    const request = complete(kind)
    assert.throws(() => trustPolicy(kind, { ...request, settings: { ...request.settings, nonsense: 'x' } }))
    assert.throws(() => trustPolicy(kind, { ...request, spiffeId: 'spiffe://example.org' }))
    if (trustBuilders[kind].needsIssuer) {
      for (const issuer of ['https://x/$(id)', 'https://u@x', "https://x/'", 'ftp://x', 'https://x?y', undefined]) {
        assert.throws(() => trustPolicy(kind, { ...request, issuer }), String(issuer))
      }
    }
  })
}

test('names of different SPIFFE IDs never collide, and fit where they are used', () => {
  const ids = [
    'spiffe://td/a/b-c',
    'spiffe://td/a-b/c',
    'spiffe://td/A/b-c',
    'spiffe://other/a/b-c',
    `spiffe://td/${'x'.repeat(300)}`,
  ]
  const names = ids.map((id) => nameFor(parseSpiffeId(id)))
  assert.equal(new Set(names).size, ids.length)
  for (const name of names) assert.match(name, /^[a-z][a-z0-9-]{1,62}$/)
})

test('Terraform never takes a value for a template', () => {
  const opening = '$'.concat('{')
  assert.equal(hclText(`a ${opening}file("x")} %{if} \n`), `"a $${opening}file(\\"x\\")} %%{if} \\n"`)
})

for (const audience of ['$'.concat('{aws:username}'), '*', 'a b', 'a"b', "a'b", 'a?', 'a\n']) {
  test(`an audience that a policy language would read as more than text is refused: ${JSON.stringify(audience)}`, () => {
    assert.throws(() => trustPolicy('aws', { ...complete('aws'), audience }), /--audience cannot be/)
  })
}

test('GCP: a SPIFFE ID longer than google.subject is mapped by its path, and one whose path is longer is refused', () => {
  const long = `spiffe://${'t'.repeat(60)}.example.org/default/${'a'.repeat(60)}`
  const text = trustScript(trustPolicy('gcp', { ...complete('gcp'), spiffeId: long }))
  assert.match(
    text,
    /google\.subject=assertion\.sub\.extract\('\\''spiffe:\/\/t+\.example\.org\/\{id\}'\\''\)|extract\(/,
  )
  assert.match(text, new RegExp(`assertion\\.sub == .*${long}`))
  assert.throws(() => trustPolicy('gcp', { ...complete('gcp'), spiffeId: `spiffe://example.org/${'a'.repeat(130)}` }))
})
