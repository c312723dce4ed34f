import { stringify } from 'yaml'
import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** The registration entry of one component: by `spire-server entry create`, or as a ClusterStaticEntry of the SPIRE controller manager. */
export const trustSpire: TrustBuilder = {
  ...trustOptions.spire,
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
