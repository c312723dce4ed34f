import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManifestError } from '../../src/manifest/manifest-error.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'

const parse = (text: string, files: readonly string[] = ['/app/api.wasm', '/app/svc.wasm']) =>
  parseManifest(text, { file: 'workload.yaml', baseDirectory: '/app', isFile: (path) => files.includes(path) })

function problemsOf(text: string): string[] {
  try {
    parse(text)
  } catch (error) {
    assert.ok(error instanceof ManifestError, String(error))
    return error.describe().split('\n')
  }
  return []
}

/** A deployment whose spec.template.spec is `spec`, indented by 6. Its first line is line 8 of the file. */
const deployment = (spec: string, extra = ''): string => `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: hello}
spec:
  replicas: 2
  template:
    spec:
${spec
  .split('\n')
  .map((line) => `      ${line}`)
  .join('\n')}
${extra}`

const component = 'components: [{name: api, image: "file://api.wasm"}]'

test('a deployment that uses every supported field becomes a workload with all defaults filled in', () => {
  const { workloads, warnings } = parse(`apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: hello, namespace: team-a, labels: {app: hello}, annotations: {note: n}}
spec:
  replicas: 2
  template:
    labels: {app: hello}
    spec:
      hostSelector: {hostgroup: default}
      environment: team-a
      components:
      - name: api
        image: file://api.wasm
        poolSize: 4
        maxInvocations: 1000
        localResources:
          environment: {config: {K: v}}
          config: {k: v}
          allowedHosts: ["https://api.example.com", "*", "*.example.com:8443"]
          allowedIpNameLookups: ["*.example.com"]
          allowedHostLoopbackPorts: ["5432", "53/udp"]
          volumeMounts: [{name: scratch, mountPath: /d}]
      - name: other
        image: ghcr.io/o/hello@sha256:${'a'.repeat(64)}
        imagePullSecret: {name: regcred}
        imagePullPolicy: IfNotPresent
      service: {image: "file:///app/svc.wasm", maxRestarts: 3}
      volumes: [{name: scratch, ephemeral: {}}, {name: data, hostPath: {path: /srv/data}}]
      hostInterfaces:
      - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: hello.example.com}}
      - {namespace: wasmcloud, package: identity, interfaces: [store], version: 0.0.1, config: {audiences: "sts.amazonaws.com, spiffe://example.org/ledger"}}
      - {namespace: wasi, package: keyvalue, interfaces: [store], name: cache, version: 0.2.0-draft, config: {backend: nats}}
      - {namespace: wasi, package: keyvalue, interfaces: [store], version: 0.2.0-draft}
`)
  assert.deepEqual(warnings, [])
  const none = {
    environment: {},
    config: {},
    allowedHosts: [],
    allowedIpNameLookups: [],
    allowedHostLoopbackPorts: [],
    volumeMounts: [],
  }
  assert.deepEqual(workloads, [
    {
      kind: 'WorkloadDeployment',
      name: 'hello',
      namespace: 'team-a',
      replicas: 2,
      hostSelector: { hostgroup: 'default' },
      environment: 'team-a',
      hostId: undefined,
      components: [
        {
          name: 'api',
          image: { kind: 'file', reference: 'file://api.wasm', path: '/app/api.wasm' },
          imagePullPolicy: undefined,
          imagePullSecret: undefined,
          poolSize: 4,
          maxInvocations: 1000,
          resources: {
            environment: { K: 'v' },
            config: { k: 'v' },
            allowedHosts: ['https://api.example.com', '*', '*.example.com:8443'],
            allowedIpNameLookups: ['*.example.com'],
            allowedHostLoopbackPorts: ['5432', '53/udp'],
            volumeMounts: [{ name: 'scratch', mountPath: '/d', readOnly: false }],
          },
        },
        {
          name: 'other',
          image: {
            kind: 'registry',
            reference: `ghcr.io/o/hello@sha256:${'a'.repeat(64)}`,
            registry: 'ghcr.io',
            repository: 'o/hello',
            tag: undefined,
            digest: `sha256:${'a'.repeat(64)}`,
          },
          imagePullPolicy: 'IfNotPresent',
          imagePullSecret: 'regcred',
          poolSize: undefined,
          maxInvocations: undefined,
          resources: none,
        },
      ],
      service: {
        image: { kind: 'file', reference: 'file:///app/svc.wasm', path: '/app/svc.wasm' },
        imagePullPolicy: undefined,
        imagePullSecret: undefined,
        maxRestarts: 3,
        resources: none,
      },
      hostInterfaces: [
        {
          namespace: 'wasi',
          package: 'http',
          version: undefined,
          interfaces: ['incoming-handler'],
          name: undefined,
          config: { host: 'hello.example.com' },
        },
        {
          namespace: 'wasmcloud',
          package: 'identity',
          version: '0.0.1',
          interfaces: ['store'],
          name: undefined,
          config: { audiences: 'sts.amazonaws.com, spiffe://example.org/ledger' },
        },
        {
          namespace: 'wasi',
          package: 'keyvalue',
          version: '0.2.0-draft',
          interfaces: ['store'],
          name: 'cache',
          config: { backend: 'nats' },
        },
        {
          namespace: 'wasi',
          package: 'keyvalue',
          version: '0.2.0-draft',
          interfaces: ['store'],
          name: undefined,
          config: {},
        },
      ],
      volumes: [
        { kind: 'ephemeral', name: 'scratch' },
        { kind: 'hostPath', name: 'data', path: '/srv/data' },
      ],
    },
  ])
})

test('a Workload needs no template and runs once', () => {
  const { workloads } = parse(`apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: {name: one}
spec:
  ${component}
`)
  assert.deepEqual(
    workloads.map(({ kind, name, namespace, replicas }) => ({ kind, name, namespace, replicas })),
    [{ kind: 'Workload', name: 'one', namespace: 'default', replicas: 1 }],
  )
})

test('several documents of one file are several workloads, and empty documents are none', () => {
  const one = (name: string) =>
    `apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: Workload\nmetadata: {name: ${name}}\nspec: {${component}}\n`
  const { workloads } = parse(`---\n${one('a')}---\n---\n${one('b')}---\n# nothing more\n`)
  assert.deepEqual(
    workloads.map(({ name }) => name),
    ['a', 'b'],
  )
  assert.deepEqual(problemsOf(`${one('a')}---\n${one('a')}`), [
    'ERR_MANIFEST_INVALID: workload.yaml:8:18 (metadata.name): default/a is in this file twice',
  ])
})

const template = 'spec.template.spec'
const refused: { title: string; text: string; problems: string[] }[] = [
  {
    title: 'an unknown key',
    text: deployment(`components:\n- name: api\n  image: file://api.wasm\n  pollSize: 4`),
    problems: [`ERR_MANIFEST_INVALID: workload.yaml:11:9 (${template}.components[0].pollSize): unknown key "pollSize"`],
  },
  {
    title: 'a number where text belongs',
    text: deployment(
      `${component}\nhostInterfaces:\n- {namespace: wasi, package: http, interfaces: [types], config: {port: 80}}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:10:78 (${template}.hostInterfaces[0].config.port): expected text, found the number 80 — quote it: "80"`,
    ],
  },
  {
    title: 'an identity entry without audiences',
    text: deployment(
      `${component}\nhostInterfaces:\n- namespace: wasmcloud\n  package: identity\n  interfaces: [store]\n  config:\n    spiffe-id: spiffe://a/b`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:14:11 (${template}.hostInterfaces[0].config.audiences): wasmcloud:identity needs "audiences" in its config — list every audience the components may ask tokens for, comma-separated: audiences: "sts.amazonaws.com"`,
    ],
  },
  {
    title: 'an identity entry without config',
    text: deployment(`${component}\nhostInterfaces:\n- {namespace: wasmcloud, package: identity, interfaces: [store]}`),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:10:9 (${template}.hostInterfaces[0].config.audiences): wasmcloud:identity needs "audiences" in its config — list every audience the components may ask tokens for, comma-separated: audiences: "sts.amazonaws.com"`,
    ],
  },
  {
    title: 'an identity entry with an empty audience',
    text: deployment(
      `${component}\nhostInterfaces:\n- {namespace: wasmcloud, package: identity, interfaces: [store], config: {audiences: "a,,b"}}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:10:92 (${template}.hostInterfaces[0].config.audiences): an audience is empty — list every audience the components may ask tokens for, comma-separated: audiences: "sts.amazonaws.com"`,
    ],
  },
  {
    title: 'two components of one name',
    text: deployment(`components:\n- {name: api, image: "file://api.wasm"}\n- {name: api, image: "file://api.wasm"}`),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:10:16 (${template}.components[1].name): component "api" is there twice — every one needs its own`,
    ],
  },
  {
    title: 'a component named as the service is',
    text: deployment(`components:\n- {name: service, image: "file://api.wasm"}\nservice: {image: "file://svc.wasm"}`),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:9:16 (${template}.components[0].name): a component of a workload with a service cannot be named "service" — that is the service's own name, and two components of one name would share an identity`,
    ],
  },
  ...['Api', 'a_b', '-a', 'a-', 'a.b', `${'a'.repeat(64)}`, 'a b'].map((name) => ({
    title: `the component name ${name}`,
    text: deployment(`components:\n- {name: "${name}", image: "file://api.wasm"}`),
    problems: [
      name.length > 63
        ? `ERR_MANIFEST_INVALID: workload.yaml:9:16 (${template}.components[0].name): is longer than 63 characters`
        : `ERR_MANIFEST_INVALID: workload.yaml:9:16 (${template}.components[0].name): "${name}" is not valid — expected: lower case letters, digits and -, at most 63 (DNS-1123 label)`,
    ],
  })),
  {
    title: 'nothing to run',
    text: deployment('components: []'),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:8:7 (${template}): there is nothing to run — list at least one entry in components`,
    ],
  },
  {
    title: 'a component without image and one whose image is empty',
    text: deployment(`components:\n- name: a\n- name: b\n  image:`),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:9:9 (${template}.components[0].image): "image" is missing — add it: text`,
      `ERR_MANIFEST_INVALID: workload.yaml:11:9 (${template}.components[1].image): expected text, found nothing — give it a value or remove the key`,
    ],
  },
  {
    title: 'a component file that is not there',
    text: deployment(`components:\n- {name: api, image: "file://build/api.wasm"}`),
    problems: [
      `ERR_IMAGE_NOT_FOUND: workload.yaml:9:28 (${template}.components[0].image): there is no file /app/build/api.wasm — build the component, or correct the path (it is relative to the manifest)`,
    ],
  },
  {
    title: 'an image that is neither a file nor a registry reference',
    text: deployment(`components:\n- {name: api, image: api.wasm}`),
    problems: [
      `ERR_IMAGE_INVALID: workload.yaml:9:28 (${template}.components[0].image): "api.wasm" does not start with a registry — for a local file write file://api.wasm`,
    ],
  },
  {
    title: 'one interface twice, and two entries without name',
    text: deployment(
      `${component}\nhostInterfaces:\n- {namespace: wasi, package: http, interfaces: [types]}\n- {namespace: wasi, package: http, interfaces: [types]}\n- {namespace: wasi, package: http, interfaces: [types], version: 0.2.3}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:11:9 (${template}.hostInterfaces[1]): wasi:http is listed twice, as in entry 0 — remove one`,
      `ERR_MANIFEST_INVALID: workload.yaml:12:9 (${template}.hostInterfaces[2]): wasi:http has a second entry without name, beside entry 0 — name them: name is what tells several entries of one package apart`,
    ],
  },
  {
    title: 'a mount of a volume that is not there, a volume of two kinds and one of none',
    text: deployment(
      `components:\n- name: api\n  image: file://api.wasm\n  localResources: {volumeMounts: [{name: data, mountPath: /d}]}\nvolumes:\n- {name: a, ephemeral: {}, hostPath: {path: /srv}}\n- {name: b}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:11:48 (${template}.components[0].localResources.volumeMounts[0].name): there is no volume "data" — volumes: a, b`,
      `ERR_MANIFEST_INVALID: workload.yaml:13:9 (${template}.volumes[0]): a volume is either ephemeral or a hostPath — write ephemeral: {} or hostPath: {path: /srv/data}`,
      `ERR_MANIFEST_INVALID: workload.yaml:14:9 (${template}.volumes[1]): a volume is either ephemeral or a hostPath — write ephemeral: {} or hostPath: {path: /srv/data}`,
    ],
  },
  {
    title: 'an HTTP host with a port',
    text: deployment(
      `${component}\nhostInterfaces:\n- {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: "a.example:80"}}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:10:89 (${template}.hostInterfaces[0].config.host): "a.example:80" is no host name — write it as a Host header has it, without scheme, port and path; * is any host`,
    ],
  },
  {
    title: 'values that only a cluster has',
    text: deployment(
      `components:\n- name: api\n  image: file://api.wasm\n  localResources:\n    environment:\n      configFrom: [{name: cm}]\n      secretFrom: [{name: s}]\nhostInterfaces:\n- {namespace: wasi, package: keyvalue, interfaces: [store], secretFrom: [{name: kv}]}`,
    ),
    problems: [
      `ERR_MANIFEST_UNSUPPORTED: workload.yaml:13:13 (${template}.components[0].localResources.environment.configFrom): configFrom names ConfigMaps of a cluster, which this host cannot read — write the values into config`,
      `ERR_MANIFEST_UNSUPPORTED: workload.yaml:14:13 (${template}.components[0].localResources.environment.secretFrom): secretFrom names Secrets of a cluster, which this host cannot read — deploy through upstream's operator, which resolves them`,
      `ERR_MANIFEST_UNSUPPORTED: workload.yaml:16:67 (${template}.hostInterfaces[0].secretFrom): secretFrom names Secrets of a cluster, which this host cannot read — deploy through upstream's operator, which resolves them`,
    ],
  },
  {
    title: 'an allowed host with a path',
    text: deployment(
      `components:\n- {name: api, image: "file://api.wasm", localResources: {allowedHosts: ["https://a.example/x"]}}`,
    ),
    problems: [
      `ERR_MANIFEST_INVALID: workload.yaml:9:79 (${template}.components[0].localResources.allowedHosts[0]): "https://a.example/x" is not valid — expected: *, host[:port], *.suffix[:port] or scheme://host[:port], without a path`,
    ],
  },
  {
    title: 'another kind, another version, and a document that is a list',
    text: 'kind: Service\n---\nkind: Workload\napiVersion: v1\nmetadata: {name: a}\nspec: {components: [{name: api, image: "file://api.wasm"}]}\n---\n- 1\n',
    problems: [
      'ERR_MANIFEST_INVALID: workload.yaml:1:7 (kind): "Service" is not a kind that a host runs — use WorkloadDeployment or Workload',
      'ERR_MANIFEST_INVALID: workload.yaml:4:13 (apiVersion): "v1" is not allowed — use runtime.wasmcloud.dev/v1alpha1',
      'ERR_MANIFEST_INVALID: workload.yaml:8:1: expected a mapping, found a list',
    ],
  },
  {
    title: 'YAML that cannot be read, with every place',
    text: 'a: 1\na: 2\nb: "x\n',
    problems: [
      'ERR_MANIFEST_INVALID: workload.yaml:2:1: Map keys must be unique — correct the YAML',
      'ERR_MANIFEST_INVALID: workload.yaml:4:1: Missing closing "quote — correct the YAML',
    ],
  },
  {
    title: 'an empty file',
    text: '# nothing\n',
    problems: [
      'ERR_MANIFEST_INVALID: workload.yaml: the file is empty — write a WorkloadDeployment (apiVersion: runtime.wasmcloud.dev/v1alpha1)',
    ],
  },
]
for (const { title, text, problems } of refused) {
  test(`parseManifest refuses ${title}, and says where`, () => assert.deepEqual(problemsOf(text), problems))
}

test('faults of the schema and of the rules are reported in one run', () => {
  const codes = problemsOf(
    deployment(
      `components:\n- {name: API, image: "file://no.wasm", poolSize: many}\n- {name: b, image: "file://api.wasm", extra: 1}\nhostInterfaces:\n- {namespace: wasmcloud, package: identity, interfaces: [store]}`,
      '  surprise: 1',
    ),
  )
  assert.deepEqual(
    codes.map((line) => /^(\S+): \S+ \((\S+)\)/.exec(line)?.slice(1)),
    [
      ['ERR_MANIFEST_INVALID', `${template}.components[0].name`],
      ['ERR_IMAGE_NOT_FOUND', `${template}.components[0].image`],
      ['ERR_MANIFEST_INVALID', `${template}.components[0].poolSize`],
      ['ERR_MANIFEST_INVALID', `${template}.components[1].extra`],
      ['ERR_MANIFEST_INVALID', `${template}.hostInterfaces[0].config.audiences`],
      ['ERR_MANIFEST_INVALID', 'spec.surprise'],
    ],
  )
})

test('fields that are valid but mean nothing on a host without a cluster are warned about, never swallowed', () => {
  const { warnings } = parse(`apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: hello}
spec:
  deployPolicy: Recreate
  kubernetes: {service: {name: hello}}
  template:
    spec:
      kubernetes: {}
      components:
      - name: api
        image: file://api.wasm
        imagePullPolicy: Always
        imagePullSecret: {name: regcred}
        maxConcurrency: 8
        maxInvocations: 10
        poolSize: 0
      hostInterfaces:
      - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {path: /}}
`)
  assert.deepEqual(
    warnings.map(({ where }) => `${where.line}:${where.column} ${where.key}`),
    [
      '5:3 spec.deployPolicy',
      '6:3 spec.kubernetes',
      `9:7 ${template}.kubernetes`,
      `13:9 ${template}.components[0].imagePullPolicy`,
      `14:9 ${template}.components[0].imagePullSecret`,
      `15:9 ${template}.components[0].maxConcurrency`,
      `16:9 ${template}.components[0].maxInvocations`,
      `19:83 ${template}.hostInterfaces[0].config.path`,
    ],
  )
})

test('an alias is located where its anchor stands, and a bomb of aliases is refused', () => {
  assert.deepEqual(
    problemsOf(
      deployment(
        `components:\n- {name: a, image: "file://api.wasm", localResources: &r {config: {n: 1}}}\n- {name: b, image: "file://api.wasm", localResources: *r}`,
      ),
    ).map((line) => line.split(': ')[1]),
    [
      `workload.yaml:9:77 (${template}.components[0].localResources.config.n)`,
      `workload.yaml:9:77 (${template}.components[1].localResources.config.n)`,
    ],
  )
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
  for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'])
    bomb.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(',')}]`)
  assert.deepEqual(problemsOf(bomb.join('\n')), ['ERR_MANIFEST_INVALID: workload.yaml: too many aliases'])
})
