import { stringify } from 'yaml'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'

/** The registration entry of one component: by `spire-server entry create`, or as a ClusterStaticEntry of the SPIRE controller manager. */
export const trustSpire: TrustBuilder = {
  kind: 'spire',
  title: 'SPIRE: registration entry',
  formats: ['commands', 'kubernetes'],
  needsIssuer: false,
  audience: null,
  settings: [
    {
      name: 'parent-id',
      meaning: 'SPIFFE ID of the host that runs it (default: spiffe://TRUST-DOMAIN/wasm-host)',
      example: 'spiffe://example.org/wasm-host',
      pattern: /^spiffe:\/\/[a-z0-9._-]+\/[A-Za-z0-9._/-]+$/,
      required: false,
    },
    {
      name: 'selector',
      meaning: 'a selector of the component',
      example: 'wasmcloud:component:api-gateway',
      pattern: /^wasmcloud:[a-z-]+:\S.*$/,
      required: true,
      many: true,
    },
    {
      name: 'jwt-ttl',
      meaning: 'lifetime of its JWT-SVIDs, seconds',
      example: '300',
      pattern: /^[1-9]\d{1,5}$/,
      required: false,
      default: '300',
    },
    {
      name: 'socket-path',
      meaning: "the server's socket, when it is not the default one",
      example: '/run/spire/server/private/api.sock',
      pattern: /^\/[\w./-]+$/,
      required: false,
    },
    {
      name: 'class-name',
      meaning: 'class of the controller manager',
      example: 'spire-server-spire',
      pattern: /^[a-z0-9-]+$/,
      required: false,
      default: 'spire-server-spire',
    },
  ],
  build(input) {
    const parentId = input.optional('parent-id') ?? `spiffe://${input.trustDomain}/wasm-host`
    const socketPath = input.optional('socket-path')
    const ttl = input.one('jwt-ttl')
    const entry = {
      apiVersion: 'spire.spiffe.io/v1alpha1',
      kind: 'ClusterStaticEntry',
      metadata: { name: input.name },
      spec: {
        className: input.one('class-name'),
        parentID: parentId,
        spiffeID: input.spiffeId,
        selectors: input.many('selector'),
        jwtSVIDTTL: `${ttl}s`,
      },
    }
    return {
      kind: 'spire',
      steps:
        input.format === 'kubernetes'
          ? [
              { kind: 'file', path: `${input.name}.yaml`, text: stringify(entry) },
              { kind: 'command', command: shellCommand('kubectl', 'apply', ['-f', `${input.name}.yaml`]) },
            ]
          : [
              {
                kind: 'command',
                command: shellCommand(
                  'spire-server',
                  'entry',
                  'create',
                  ...(socketPath === undefined ? [] : [['-socketPath', socketPath]]),
                  ['-parentID', parentId],
                  ['-spiffeID', input.spiffeId],
                  ...input.many('selector').map((selector) => ['-selector', selector]),
                  ['-jwtSVIDTTL', ttl],
                ),
              },
            ],
      notes: [
        'All selectors of an entry must be stated by the host for it to match; fewer selectors match more components.',
      ],
    }
  },
}
