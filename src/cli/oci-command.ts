import type { Command } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { collect, collectPairs } from './option-values.ts'
import { type RegistryOptions, registryIdentityOption } from './registry-options.ts'

export type OciOptions = CommonOptions &
  RegistryOptions & { readonly spireWorkloadSocket?: string; readonly ownSpiffeId?: string }
export type OciPushOptions = OciOptions & { readonly annotation?: Readonly<Record<string, string>> }
export type OciPullOptions = OciOptions & { readonly to?: string; readonly always?: true }

export function addOciCommand(program: Command, environment: CliEnvironment): void {
  const oci = program
    .command('oci')
    .summary('push, pull and look at components in registries')
    .description(
      'Components in OCI registries, as CNCF wasm artifacts; credentials are those of docker login and its credential helpers, or this process’s own SVID.',
    )
  const common = (command: Command): Command =>
    addCommonOptions(command)
      .option(
        '--plain-http-registry <host>',
        'a registry, host[:port], spoken to without TLS; repeatable; loopback always is',
        collect,
      )
      .option(...registryIdentityOption)
      .option(
        '--spire-workload-socket <path>',
        'Workload API that gives the SVID for --registry-identity (default: $SPIFFE_ENDPOINT_SOCKET)',
      )
      .option('--own-spiffe-id <id>', 'which SPIFFE ID to be when several entries match this process')
  common(oci.command('push'))
    .description('Push a component. The same bytes get the same digest.')
    .argument('<reference>', 'REGISTRY/NAME:TAG')
    .argument('<file>', 'a .wasm component')
    .option('--annotation <key=value>', 'an annotation of the manifest; repeatable; none by default', collectPairs)
    .action(async (reference: string, file: string, options: OciPushOptions) =>
      (await import('./run-oci.ts')).runOciPush(reference, file, options, environment),
    )
  common(oci.command('pull'))
    .description('Pull a component; every byte is checked against its digest before the file is written.')
    .argument('<reference>', 'REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…')
    .option('--to <file>', 'where to write it (default: NAME.wasm in this directory)')
    .option('--always', 'ask the registry even when the image is in the cache')
    .option('--image-cache <directory>', 'where pulled images are kept (default: ~/.cache/herald/images)')
    .action(async (reference: string, options: OciPullOptions) =>
      (await import('./run-oci.ts')).runOciPull(reference, options, environment),
    )
  common(oci.command('inspect'))
    .description(
      'Say what a reference stands for: digest, layers, annotations, and what its config claims of the component.',
    )
    .argument('<reference>', 'REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…')
    .action(async (reference: string, options: OciOptions) =>
      (await import('./run-oci.ts')).runOciInspect(reference, options, environment),
    )
}
