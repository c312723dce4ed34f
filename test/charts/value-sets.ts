import type { Values } from './helm-chart.ts'

const workload = (name: string) => ({
  apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
  kind: 'WorkloadDeployment',
  metadata: { name, namespace: 'default' },
  spec: {
    template: {
      spec: {
        components: [{ name, image: `file:///herald/components/${name}.wasm` }],
        hostInterfaces: [
          {
            namespace: 'wasi',
            package: 'http',
            interfaces: ['incoming-handler'],
            config: { host: `${name}.example.org` },
          },
          {
            namespace: 'wasmcloud',
            package: 'identity',
            interfaces: ['store'],
            version: '0.0.1',
            config: { audiences: 'sts.amazonaws.com' },
          },
        ],
      },
    },
  },
})

/** The least that the chart takes. */
export const leastValues: Values = { trustDomain: 'example.org' }

export const sidecarValues: Values = {
  ...leastValues,
  spire: { adminSocket: { mode: 'sidecar', sidecar: { cluster: 'herald' } } },
}

/** NATS asks the callout service, and nobody has a secret. */
export const calloutValues: Values = {
  ...leastValues,
  lattice: { credentials: { kind: 'svid' } },
  natsCallout: {
    enabled: true,
    keysSecret: 'herald-callout',
    policy: { grants: [{ 'spiffe-id': 'spiffe://example.org/wasm-host', account: 'HERALD', as: 'host' }] },
  },
}

/** Sets of values that differ in every branch of the templates. */
export const valueMatrix: Readonly<Record<string, Values>> = {
  'the least': leastValues,
  'private agents': sidecarValues,
  'private agents with an identity per pod': {
    ...leastValues,
    spire: { adminSocket: { mode: 'sidecar', sidecar: { cluster: 'herald', podUidAgentIds: true } } },
  },
  'a host on every node': {
    ...leastValues,
    host: { kind: 'DaemonSet', tolerations: [{ operator: 'Exists' }], updateStrategy: { type: 'OnDelete' } },
  },
  'one replica, no policies, no Service': {
    ...leastValues,
    host: { replicas: 1 },
    networkPolicy: { enabled: false },
    podDisruptionBudget: { enabled: false },
    service: { enabled: false },
    tests: { enabled: false },
    serviceAccount: { create: false, name: 'given' },
    spire: { registration: false },
  },
  'the operator beside NATS': {
    ...leastValues,
    console: { enabled: true },
    'runtime-operator': { enabled: true },
    host: { operatorFinalizer: true },
  },
  'NATS by auth callout': {
    ...calloutValues,
    console: { enabled: true },
    otlp: { endpoint: 'http://collector.observability:4318' },
    spire: { workloadSocket: { fileName: 'api.sock' } },
  },
  'NATS by auth callout, private agents': {
    ...calloutValues,
    ...sidecarValues,
    natsCallout: { ...(calloutValues.natsCallout as object), replicas: 1 },
  },
  'no lattice': { ...leastValues, nats: { enabled: false }, workloads: { 'api-gateway': workload('api-gateway') } },
  everything: {
    ...leastValues,
    nameOverride: 'house',
    fullnameOverride: 'house',
    commonLabels: { team: 'platform' },
    image: {
      registry: 'registry.example.org',
      repository: 'herald',
      digest: `sha256:${'0'.repeat(64)}`,
      pullPolicy: 'Always',
    },
    imagePullSecrets: [{ name: 'regcred' }],
    host: {
      replicas: 3,
      group: 'blue',
      operatorFinalizer: true,
      environment: 'team-a',
      labels: { zone: 'a', 'example.org/tier': 'gold' },
      http: { port: 9000 },
      health: { port: 9001 },
      registries: {
        credentialsSecret: 'registries',
        identities: {
          'registry.example.org': { audience: 'registry.example.org' },
          'other.example.org:5000': {
            audience: 'other',
            tokenService: 'https://auth.example.org/token',
            service: 'other',
            grant: 'token-exchange',
          },
        },
        plainHttp: ['registry.internal:5000'],
        mirrors: { 'docker.io': ['one.internal', 'two.internal:5000'] },
      },
      imageCacheMiB: 100,
      artifactCache: { enabled: false },
      idleTimeout: 'never',
      warmCells: 8,
      memoryLimitMiB: 64,
      cpuLimitMillicores: 200,
      isolation: 'process',
      requestTimeout: '500ms',
      drainTimeout: '2m',
      endpointRemovalSeconds: 7,
      logLevel: 'debug',
      resources: { requests: { cpu: 2, memory: '1Gi' }, limits: { memory: '2Gi' } },
      priorityClassName: 'system-cluster-critical',
      runtimeClassName: 'gvisor',
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      tolerations: [{ key: 'wasm', operator: 'Exists', effect: 'NoSchedule' }],
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: {} },
      ],
      podAnnotations: { 'example.org/note': 'yes' },
      podLabels: { 'example.org/cost': 'shared' },
      extraEnv: [
        { name: 'NO_COLOR', value: '1' },
        { name: 'HERALD_HOST_ORPHAN_AFTER', value: '1h' },
      ],
      extraVolumes: [{ name: 'components', configMap: { name: 'components' } }],
      extraVolumeMounts: [{ name: 'components', mountPath: '/components' }],
      allowedHostPaths: ['/srv/data'],
      updateStrategy: { type: 'Recreate' },
    },
    lattice: {
      name: 'main',
      servers: ['tls://{{ .Release.Name }}-one:4222', 'tls://nats.example.org'],
      credentials: { kind: 'creds', secretName: 'nats-creds', secretKey: 'host.creds' },
      tls: { caSecret: 'nats-ca', clientSecret: 'nats-client', first: true },
    },
    nats: { enabled: false },
    workloads: { one: workload('one'), two: workload('two') },
    autoscaling: { enabled: true, maxReplicas: 20 },
    otlp: {
      endpoint: 'https://{{ .Release.Name }}-collector.observability/otlp',
      headersSecret: 'collector',
      resourceAttributes: { 'deployment.environment.name': 'production' },
    },
    console: {
      enabled: true,
      port: 9090,
      hostNames: ['herald.example.org'],
      ingressFrom: [{ podSelector: { matchLabels: { app: 'oauth2-proxy' } } }],
      credentials: { kind: 'nkey', secretName: 'nats-console', secretKey: 'seed' },
      resources: { limits: { memory: '128Mi' } },
    },
    service: { type: 'LoadBalancer', port: 8080, annotations: { 'example.org/lb': 'internal' } },
    serviceAccount: { name: 'house', annotations: { 'example.org/a': 'b' } },
    components: [
      { name: 'one', jwtSvidTtl: '5m' },
      {
        name: 'two',
        spiffeId: 'spiffe://example.org/ledger/two',
        namespace: 'team-a',
        workload: 'two-1-2',
        environment: 'team-a',
        image: 'ghcr.io/o/two:1',
        imageDigest: `sha256:${'a'.repeat(64)}`,
        selectors: ['wasmcloud:host-label:zone:a'],
        x509SvidTtl: '1h',
        hint: 'ledger',
        federatesWith: ['example.com'],
      },
    ],
    networkPolicy: {
      ingressFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } } }],
      egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }], ports: [{ port: 5432, protocol: 'TCP' }] }],
      egressToPublicHttps: true,
      metricsFrom: [{ podSelector: { matchLabels: { app: 'prometheus' } } }],
      natsPeers: [{ ipBlock: { cidr: '192.0.2.1/32' } }],
      otlpPeers: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'observability' } } }],
    },
    podDisruptionBudget: { maxUnavailable: 2 },
    tests: {
      component: {
        image: 'registry.example.org/api-gateway:1',
        name: 'probe',
        environment: { AWS_ROLE_ARN: 'arn:aws:iam::000000000000:role/probe' },
        allowedHosts: ['https://sts.us-east-1.amazonaws.com'],
      },
      issuer: 'https://oidc.example.org',
      exchange: true,
    },
  },
}

/** What the chart must refuse, each with words of the message that a person sees. */
export const refusedValues: readonly (readonly [what: string, values: Values, message: RegExp])[] = [
  ['no trust domain', { ...leastValues, trustDomain: '' }, /trustDomain is missing.*--set trustDomain=/],
  [
    'a trust domain that is none',
    { ...leastValues, trustDomain: 'spiffe://example.org' },
    /trustDomain.*does not match pattern/s,
  ],
  ['a wrong type', { ...leastValues, host: { replicas: 'two' } }, /host\/replicas.*got string, want integer/s],
  ['an unknown key', { ...leastValues, hosts: { replicas: 2 } }, /additional properties 'hosts' not allowed/],
  ['an unknown key below', { ...leastValues, host: { replica: 2 } }, /additional properties 'replica' not allowed/],
  [
    'both ways to the admin socket: sidecar, and another hostPath',
    {
      ...sidecarValues,
      spire: {
        adminSocket: { mode: 'sidecar', sidecar: { cluster: 'herald' }, hostPath: { directory: '/run/other' } },
      },
    },
    /mode is sidecar, yet spire.adminSocket.hostPath was changed.*one admin socket/,
  ],
  [
    'both ways to the admin socket: hostPath, and a sidecar cluster',
    { ...leastValues, spire: { adminSocket: { sidecar: { cluster: 'herald' } } } },
    /mode is hostPath, yet spire.adminSocket.sidecar.cluster is set/,
  ],
  [
    'a sidecar without cluster',
    { ...leastValues, spire: { adminSocket: { mode: 'sidecar' } } },
    /sidecar.cluster is empty: name the cluster/,
  ],
  [
    'a third way to the admin socket',
    { ...leastValues, spire: { adminSocket: { mode: 'csi' } } },
    /must be one of 'hostPath', 'sidecar'/,
  ],
  [
    'an empty audience list',
    {
      ...leastValues,
      workloads: {
        w: {
          ...workload('w'),
          spec: {
            template: {
              spec: { hostInterfaces: [{ namespace: 'wasmcloud', package: 'identity', config: { audiences: ' ' } }] },
            },
          },
        },
      },
    },
    /workloads\.w: its wasmcloud:identity interface lists no audiences/,
  ],
  [
    'no NATS and no URL of one',
    { ...leastValues, nats: { enabled: false } },
    /nats\.enabled is false, lattice\.servers is empty.*Name the NATS servers/,
  ],
  [
    'two lattices',
    { ...leastValues, lattice: { servers: ['nats://a:4222'] } },
    /nats\.enabled is true and lattice\.servers names other/,
  ],
  [
    'credentials in a NATS URL',
    { ...leastValues, lattice: { servers: ['nats://user:secret@a:4222'] } },
    /lattice\/servers\/0.*does not match pattern/s,
  ],
  [
    'credentials that are not in a Secret',
    { ...leastValues, lattice: { credentials: { kind: 'creds' } } },
    /only taken from a Secret/,
  ],
  [
    'a Secret of unknown kind',
    { ...leastValues, lattice: { credentials: { secretName: 's' } } },
    /say whether the Secret holds/,
  ],
  [
    'a callout service without keys',
    {
      ...calloutValues,
      natsCallout: { enabled: true, policy: { grants: [{ 'spiffe-id': 'spiffe://example.org/a', account: 'A' }] } },
    },
    /natsCallout\.keysSecret is empty: make the keys .* kubectl -n herald create secret generic herald-callout/,
  ],
  [
    'a callout service that grants nothing',
    { ...calloutValues, natsCallout: { enabled: true, keysSecret: 'k' } },
    /natsCallout\.policy grants nobody anything/,
  ],
  [
    'a grant of the callout service with an unknown key',
    {
      ...calloutValues,
      natsCallout: { policy: { grants: [{ 'spiffe-id': 'spiffe://example.org/a', account: 'A', subjects: ['>'] }] } },
    },
    /additional properties 'subjects' not allowed/,
  ],
  [
    'a callout service without NATS',
    { ...calloutValues, nats: { enabled: false }, workloads: { w: workload('w') } },
    /natsCallout\.enabled is true, but there is no NATS/,
  ],
  [
    'a Secret beside SVIDs',
    { ...leastValues, lattice: { credentials: { kind: 'svid', secretName: 's' } } },
    /lattice\.credentials\.secretName is set, but kind is svid/,
  ],
  [
    'headers for no collector',
    { ...leastValues, otlp: { headersSecret: 'collector' } },
    /otlp\.headersSecret is set, but otlp\.endpoint is empty/,
  ],
  [
    'a password in the address of the collector',
    { ...leastValues, otlp: { endpoint: 'https://user:secret@collector' } },
    /does not match pattern/,
  ],
  [
    'a console without a lattice',
    { ...leastValues, nats: { enabled: false }, workloads: { w: workload('w') }, console: { enabled: true } },
    /console\.enabled is true, but there is no lattice for it to show/,
  ],
  [
    'a console whose credentials are not in a Secret',
    { ...leastValues, console: { enabled: true, credentials: { kind: 'token' } } },
    /console\.credentials\.kind is token, but secretName or secretKey is empty/,
  ],
  [
    'a console with a Secret of unknown kind',
    { ...leastValues, console: { credentials: { secretName: 's' } } },
    /console\.credentials\.secretName is set, but kind is lattice/,
  ],
  ['an idle time that is none', { ...leastValues, host: { idleTimeout: 'often' } }, /does not match pattern/],
  [
    'autoscaling of a DaemonSet',
    { ...leastValues, host: { kind: 'DaemonSet' }, autoscaling: { enabled: true } },
    /as many hosts as there are nodes/,
  ],
  [
    'least above greatest',
    { ...leastValues, autoscaling: { enabled: true, minReplicas: 11 } },
    /minReplicas is greater/,
  ],
  ['one port for two', { ...leastValues, host: { health: { port: 8000 } } }, /are the same/],
  [
    'a workload of another kind',
    { ...leastValues, workloads: { w: { ...workload('w'), kind: 'Deployment' } } },
    /must be one of 'WorkloadDeployment', 'Workload'/,
  ],
  [
    'a service account without name',
    { ...leastValues, serviceAccount: { create: false } },
    /serviceAccount.name is empty/,
  ],
  ['a component twice', { ...leastValues, components: [{ name: 'a' }, { name: 'a' }] }, /a is listed twice/],
  [
    'a component of another trust domain',
    { ...leastValues, components: [{ name: 'a', spiffeId: 'spiffe://other.org/a' }] },
    /spiffe:\/\/other.org\/a, outside the trust domain example.org/,
  ],
  [
    'a component with a selector that is not the host’s to state',
    { ...leastValues, components: [{ name: 'a', selectors: ['unix:uid:0'] }] },
    /does not match pattern/,
  ],
  [
    'a label that would take the host group’s place',
    { ...leastValues, host: { labels: { hostgroup: 'x' } } },
    /hostgroup/,
  ],
  ['a privileged port', { ...leastValues, host: { http: { port: 80 } } }, /minimum: got 80, want 1,?024/],
  ['a timeout without unit', { ...leastValues, host: { drainTimeout: '20' } }, /does not match pattern/],
]
