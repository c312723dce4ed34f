/** What a key means, and what holds without it; `required` keys have no default. */
export type KeyMeaning = { readonly meaning: string; readonly default?: string }

/**
 * Keys of a manifest by their path. Those of the workload's spec begin at it (`components[].name`), so that both kinds share them; a component
 * and a service share `image…` and `localResources…`.
 */
export const keyMeanings: Readonly<Record<string, KeyMeaning>> = {
  apiVersion: { meaning: "upstream's API" },
  kind: { meaning: '`Workload` runs one replica, `WorkloadDeployment` several' },
  metadata: { meaning: 'as every object of Kubernetes has it' },
  'metadata.name': { meaning: "the workload's name; selector `wasmcloud:workload:NAME`" },
  'metadata.namespace': { meaning: 'selector `wasmcloud:namespace:NAME`', default: '`default`' },
  'metadata.labels': { meaning: 'labels; never selectors of an identity', default: 'none' },
  'metadata.annotations': { meaning: 'annotations', default: 'none' },
  spec: { meaning: 'see below' },
  'deployment.replicas': {
    meaning: 'how many run; on one host at most 64, each a cell of its own. 0: nothing runs',
    default: '1',
  },
  'deployment.deployPolicy': {
    meaning:
      'how the operator and `herald deploy` replace old replicas: new ones serve before old ones end, or after them; no effect for a file, where nothing older is replaced',
    default: "upstream's",
  },
  'deployment.artifacts': { meaning: 'objects of a cluster that hold images: refused from a file', default: 'none' },
  'deployment.artifacts[].name': { meaning: "the artifact's name" },
  'deployment.artifacts[].artifactFrom': { meaning: 'the object' },
  'deployment.artifacts[].artifactFrom.name': { meaning: 'its name' },
  'deployment.template': { meaning: 'what each replica is' },
  'deployment.template.labels': { meaning: "labels of the replicas' objects", default: 'none' },
  'deployment.template.annotations': { meaning: "annotations of the replicas' objects", default: 'none' },
  'deployment.template.spec': { meaning: '[the spec of a workload](#the-spec-of-a-workload)' },
  hostSelector: { meaning: 'labels that the host must have, such as `hostgroup: default`', default: 'any host' },
  hostId: { meaning: 'the one host that may run it', default: 'any host' },
  environment: { meaning: 'the environment that the host must belong to (`--environment`)', default: 'any' },
  components: { meaning: 'what answers requests, or runs to its end', default: 'none; then `service`' },
  service: {
    meaning: 'a component that runs on (`wasi:cli/run`) beside the others; its component name is `service`',
    default: 'none',
  },
  'service.maxRestarts': { meaning: 'times it is started again after it ended, whatever its exit code', default: '0' },
  volumes: { meaning: 'directories for `localResources.volumeMounts`', default: 'none' },
  'volumes[].name': { meaning: 'what `volumeMounts` name' },
  'volumes[].ephemeral': {
    meaning: 'an empty directory that lives as long as the replica: `{}`',
    default: 'this or `hostPath`',
  },
  'volumes[].hostPath': {
    meaning: "a directory of the host's machine, below one of `--allow-host-path`",
    default: 'this or `ephemeral`',
  },
  'volumes[].hostPath.path': { meaning: 'the directory' },
  hostInterfaces: {
    meaning: 'what may be imported beyond WASI, and `wasi:http` for what is served: all else is denied',
    default: 'none',
  },
  'hostInterfaces[].namespace': { meaning: '`wasmcloud` of `wasmcloud:identity/store@0.0.1`' },
  'hostInterfaces[].package': { meaning: '`identity` of it' },
  'hostInterfaces[].interfaces': { meaning: '`[store]` of it; `types` comes with any other of the package' },
  'hostInterfaces[].version': { meaning: '`0.0.1` of it', default: 'every version that is served' },
  'hostInterfaces[].name': { meaning: 'tells several entries of one package apart', default: 'none' },
  'hostInterfaces[].config': {
    meaning: '[settings of the package](#config-of-hostinterfaces), all of them texts',
    default: 'empty',
  },
  'hostInterfaces[].configFrom': {
    meaning: "ConfigMaps below `config`, resolved by upstream's operator: refused from a file",
    default: 'none',
  },
  'hostInterfaces[].configFrom[].name': { meaning: "the ConfigMap's name" },
  'hostInterfaces[].secretFrom': {
    meaning: "Secrets below `config`, resolved by upstream's operator: refused from a file",
    default: 'none',
  },
  'hostInterfaces[].secretFrom[].name': { meaning: "the Secret's name" },
  kubernetes: { meaning: "for upstream's operator: no effect without it", default: 'none' },
  'kubernetes.service': { meaning: 'the Service whose EndpointSlice it keeps', default: 'none' },
  'kubernetes.service.name': { meaning: 'its name; requests for its cluster names are served too' },
  'components[].name': { meaning: 'unique in the workload; selector `wasmcloud:component:NAME`, and so the identity' },
  'components[].poolSize': {
    meaning: 'instances that are kept between calls, each used by one call at a time',
    default: '0: a fresh instance for every call',
  },
  'components[].maxInvocations': { meaning: 'calls after which a kept instance is replaced', default: '0: no limit' },
  'components[].maxConcurrency': {
    meaning:
      'calls that overlap within one instance: upstream heeds it for async exports of WASI 0.3 only. Components of WASI 0.2, the only ones here, have 1 here and there: an instance of theirs must not be entered while it waits. Calls overlap in instances of their own: `poolSize`',
    default: '1',
  },
  image: {
    meaning:
      'an image in a registry (`ghcr.io/o/api:1`, `…@sha256:…`), or a local file: `file://api.wasm`, relative to the manifest',
  },
  imagePullSecret: {
    meaning:
      "a Secret with credentials for the registry, resolved by upstream's operator; elsewhere a file in the directory of `--pull-secrets` (`herald host -f`, `herald deploy`)",
    default: "the host's own credentials",
  },
  'imagePullSecret.name': { meaning: "the Secret's name" },
  imagePullPolicy: {
    meaning: 'whether the registry is asked at every start, once, or never',
    default: '`Always` for the tag `latest` or none, else `IfNotPresent`',
  },
  localResources: { meaning: 'what it may use: see below', default: 'nothing' },
  'localResources.environment': { meaning: 'variables, as `wasi:cli/environment` shows them', default: 'none' },
  'localResources.environment.config': { meaning: 'the variables', default: 'none' },
  'localResources.environment.configFrom': {
    meaning: "ConfigMaps of variables, resolved by upstream's operator: refused from a file",
    default: 'none',
  },
  'localResources.environment.configFrom[].name': { meaning: "the ConfigMap's name" },
  'localResources.environment.secretFrom': {
    meaning: "Secrets of variables, resolved by upstream's operator: refused from a file",
    default: 'none',
  },
  'localResources.environment.secretFrom[].name': { meaning: "the Secret's name" },
  'localResources.config': {
    meaning: 'what `wasi:config/store` shows, over the `config` of its entry',
    default: 'empty',
  },
  'localResources.allowedHosts': {
    meaning:
      'where outgoing requests may go. No scheme means https; `*` is one whole label, leftmost one or more. [More](wasi.md#what-to-know)',
    default: 'nowhere',
  },
  'localResources.allowedIpNameLookups': {
    meaning: 'names that may be looked up, and addresses that sockets may then reach',
    default: 'none',
  },
  'localResources.allowedHostLoopbackPorts': {
    meaning: "ports of the host's own loopback that may be reached",
    default: 'none',
  },
  'localResources.volumeMounts': { meaning: 'which volumes it sees', default: 'none' },
  'localResources.volumeMounts[].name': { meaning: 'a volume of the same workload' },
  'localResources.volumeMounts[].mountPath': { meaning: 'where it sees it; each path once' },
  'localResources.volumeMounts[].readOnly': { meaning: 'whether it can only be read', default: '`false`' },
}

/** The name under which `keyMeanings` has a key of one of the two kinds' schemas. */
export function meaningPath(path: string): string {
  const inSpec = path.replace(/^spec\.template\.spec\./, '')
  if (inSpec !== path) return inSpec.replace(/^(components\[\]|service)\.(image|localResources)/, '$2')
  return path.replace(/^spec\./, 'deployment.')
}
