import { z } from 'zod'

/**
 * The shape of upstream's WorkloadDeployment and Workload, every key known and every unknown one an error. Patterns and bounds are
 * those of upstream's CRDs, except that names of components are DNS-1123 labels here, because identities are made of them.
 * What spans several keys is in manifest-rules.ts; defaults are where the values are made, in to-workload.ts.
 */

/** `metadata.name`: a DNS-1123 subdomain (RFC 1123 §2.1, as Kubernetes reads it). */
const subdomain = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, {
    error: 'lower case letters, digits, - and . (DNS-1123 subdomain)',
  })
/** A DNS-1123 label. */
const label = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, { error: 'lower case letters, digits and -, at most 63 (DNS-1123 label)' })
const labels = z.record(z.string(), z.string())
const strings = z.record(z.string(), z.string())
const named = z.strictObject({ name: z.string().min(1) })
const int32 = z.int().min(0).max(2_147_483_647)

const hostPattern =
  /^\*$|^([A-Za-z][A-Za-z0-9+.-]*:\/\/)?(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*)(:[0-9]{1,5})?\/?$/
const lookupPattern =
  /^\*$|^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$|^[0-9A-Fa-f:.]+$/

const configLayer = {
  config: strings.optional(),
  configFrom: z.array(named).optional(),
  secretFrom: z.array(named).optional(),
}

const localResources = z.strictObject({
  environment: z.strictObject(configLayer).optional(),
  config: strings.optional(),
  allowedHosts: z
    .array(
      z
        .string()
        .regex(hostPattern, { error: '*, host[:port], *.suffix[:port] or scheme://host[:port], without a path' }),
    )
    .optional(),
  allowedIpNameLookups: z
    .array(z.string().regex(lookupPattern, { error: '*, a host name, *.suffix or an IP address, without a port' }))
    .optional(),
  allowedHostLoopbackPorts: z
    .array(z.string().regex(/^[0-9]{1,5}(\/(tcp|udp|TCP|UDP))?$/, { error: 'PORT, PORT/tcp or PORT/udp' }))
    .optional(),
  volumeMounts: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        mountPath: z.string().regex(/^\//, { error: 'an absolute path, such as /data' }),
        readOnly: z.boolean().optional(),
      }),
    )
    .optional(),
})

const image = {
  image: z.string().min(1),
  imagePullSecret: named.optional(),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
}

const component = z.strictObject({
  name: label,
  ...image,
  poolSize: int32.optional(),
  maxInvocations: int32.optional(),
  maxConcurrency: int32.optional(),
  localResources: localResources.optional(),
})

const service = z.strictObject({
  ...image,
  maxRestarts: int32.optional(),
  localResources: localResources.optional(),
})

// WIT identifiers, component model "WIT.md" §Identifiers, lower case as all packages in use are.
const witIdentifier = z
  .string()
  .regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, { error: 'lower case words joined by - (a WIT name)' })

const hostInterface = z.strictObject({
  namespace: witIdentifier.max(128),
  package: witIdentifier.max(128),
  interfaces: z.array(witIdentifier).min(1),
  name: z
    .string()
    .max(64)
    .regex(/^[a-z0-9][a-z0-9-]*$/, { error: 'lower case letters, digits and -' })
    .optional(),
  version: z
    .string()
    .max(64)
    .regex(/^\d+\.\d+(\.\d+)?([-+][0-9A-Za-z.+-]+)?$/, { error: 'a version such as 0.2.3 or 0.2.0-draft' })
    .optional(),
  ...configLayer,
})

const kubernetes = z.strictObject({ service: z.strictObject({ name: z.string().min(1) }).optional() })

const workloadSpec = z.strictObject({
  hostSelector: labels.optional(),
  hostId: z.string().min(1).optional(),
  environment: z.string().min(1).optional(),
  components: z.array(component).optional(),
  service: service.optional(),
  volumes: z
    .array(
      z.strictObject({
        name: label,
        ephemeral: z.strictObject({}).optional(),
        hostPath: z.strictObject({ path: z.string().regex(/^\//, { error: 'an absolute path' }) }).optional(),
      }),
    )
    .optional(),
  hostInterfaces: z.array(hostInterface).max(64).optional(),
  kubernetes: kubernetes.optional(),
})

const metadata = z.strictObject({
  name: subdomain,
  namespace: label.optional(),
  labels: labels.optional(),
  annotations: strings.optional(),
})

export const apiVersion = 'runtime.wasmcloud.dev/v1alpha1'

export const workloadDocument = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('Workload'),
  metadata,
  spec: workloadSpec,
})

export const deploymentDocument = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('WorkloadDeployment'),
  metadata,
  spec: z.strictObject({
    replicas: int32.optional(),
    deployPolicy: z.enum(['RollingUpdate', 'Recreate']).optional(),
    kubernetes: kubernetes.optional(),
    artifacts: z.array(z.strictObject({ name: z.string(), artifactFrom: named })).optional(),
    template: z.strictObject({
      labels: labels.optional(),
      annotations: strings.optional(),
      spec: workloadSpec,
    }),
  }),
})

export type WorkloadSpecDocument = z.infer<typeof workloadSpec>
export type LocalResourcesDocument = z.infer<typeof localResources>
export type WorkloadDocument = z.infer<typeof workloadDocument>
export type DeploymentDocument = z.infer<typeof deploymentDocument>
