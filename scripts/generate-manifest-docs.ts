// Writes docs/manifest.md from the manifest's schema, its rules and the settings of capabilities. A test fails when it has not been run after a
// change of one of them: `node scripts/generate-manifest-docs.ts`.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { deploymentDocument, workloadDocument } from '../src/manifest/manifest-schema.ts'
import { type ConfigSection, configSections } from './manifest-docs/config-keys.ts'
import { keyMeanings, meaningPath } from './manifest-docs/key-meanings.ts'
import { manifestRules } from './manifest-docs/rules.ts'
import { type SchemaKey, schemaKeys } from './manifest-docs/schema-rows.ts'

export const manifestDocsPath = join(import.meta.dirname, '..', 'docs', 'manifest.md')

/** The whole of docs/manifest.md. @throws when a key of the schema has no meaning */
export function manifestDocs(): string {
  const document = schemaKeys(workloadDocument).filter(({ path }) => !path.startsWith('spec.'))
  const deployment = schemaKeys(deploymentDocument).filter(({ path }) => path.startsWith('spec.'))
  const spec = deployment.filter(({ path }) => path.startsWith('spec.template.spec.'))
  const inSpec = (wanted: (path: string) => boolean, drop = '') =>
    table(
      spec.filter(({ path }) => wanted(path.slice('spec.template.spec.'.length))),
      `spec.template.spec.${drop}`,
    )
  const below = (start: string) => inSpec((path) => path.startsWith(start) && !path.includes('localResources.'), start)
  const nested = /^(components|service|volumes|hostInterfaces)(\[\])?\./
  return `<!-- Generated from src/manifest and src/capabilities by scripts/generate-manifest-docs.ts: do not edit. -->
# The manifest

Upstream's \`WorkloadDeployment\` and \`Workload\`, in YAML; several documents in one file. \`herald dev\`, \`host -f\`, \`deploy\`, \`trust\` and \`identity explain\` read
it, and so does upstream's operator. An unknown key is an error, and all problems of a file are told at once, each with line and column
([errors](errors.md)). Texts, also those that look like numbers, are quoted.

\`\`\`yaml
${example.trim()}
\`\`\`

## The document

${table(document.map((key) => (key.path === 'kind' ? { ...key, value: '`Workload` · `WorkloadDeployment`' } : key)))}
## \`spec\` of a WorkloadDeployment

${table(
  deployment.filter(({ path }) => !path.startsWith('spec.template.spec.') && !path.startsWith('spec.kubernetes')),
  'spec.',
)}
\`kubernetes\` may stand here as well as [below](#the-spec-of-a-workload).

## The spec of a workload

\`spec.template.spec\` of a WorkloadDeployment, \`spec\` of a Workload.

${inSpec((path) => !nested.test(path))}
### \`components[]\`

${below('components[].')}
### \`service\`

${below('service.')}
### \`localResources\` of a component or the service

${inSpec((path) => path.startsWith('components[].localResources.'), 'components[].localResources.')}
### \`volumes[]\`

${below('volumes[].')}
### \`hostInterfaces[]\`

What backs each package, and more about it: [capabilities.md](capabilities.md), [identity.md](identity.md), [federation](federation/README.md).

${below('hostInterfaces[].')}
## What spans several keys

Each with the part of a manifest that shows it, and what a host says to it. This is so for manifests in files; with the operator the fields of a cluster are its own.

${rulesTable()}
## \`config\` of \`hostInterfaces\`

All values are texts. A key that is not listed is refused (for \`wasi:http\`: a warning). A fallback between backquotes can be written, and means the same.

${configSections.map(configSection).join('\n')}`
}

function table(keys: readonly SchemaKey[], prefix = ''): string {
  const rows = keys.map(({ path, required, value }) => {
    const entry = keyMeanings[meaningPath(path)]
    if (entry === undefined)
      throw new Error(`scripts/manifest-docs/key-meanings.ts says nothing about ${meaningPath(path)}`)
    const fallback = required ? '**required**' : (entry.default ?? 'none')
    return row([`\`${path.slice(path.startsWith(prefix) ? prefix.length : 0)}\``, value, fallback, entry.meaning])
  })
  return `| key | value | without it | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

function rulesTable(): string {
  const rows = manifestRules().map(({ spec, ends, code, says }) => {
    const shown = tellingLines(spec).map((line) => `\`${line}\``)
    return row([shown.join('<br>'), ends === 'warning' ? 'warning' : `[\`${code}\`](errors.md#${code})`, says])
  })
  return `| in the manifest | ends in | message |\n|---|---|---|\n${rows.join('\n')}\n`
}

/** Without what every manifest has. */
function tellingLines(spec: string): readonly string[] {
  const usual =
    /^(kind|apiVersion|metadata|template): |^spec:$|^components: \[\{name: api, image: ghcr\.io\/o\/api:1\}\]$/
  const lines = spec.split('\n').map((line) => line.trim())
  return lines.length === 1 ? lines : lines.filter((line) => !usual.test(line))
}

function configSection({ title, entry, least, keys }: ConfigSection): string {
  const wit = `${entry.namespace}:${entry.package}`
  const heading = `### ${title.replace(wit, `\`${wit}\``)}`
  if (keys.length === 0) return `${heading}\n\nAny keys: they are what the component reads.\n`
  const rows = keys.map(({ key, example, fallback, meaning }) => {
    const needed = fallback ?? (key in least || key === 'provider' ? '**required**' : 'none')
    return row([`\`${key}\``, `\`${example}\``, needed, meaning])
  })
  return `${heading}\n\n| key | such as | without it | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`

/** What the page begins with; a test has a host read it. */
const example = stringify({
  apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
  kind: 'WorkloadDeployment',
  metadata: { name: 'shop', namespace: 'default' },
  spec: {
    replicas: 2,
    template: {
      spec: {
        components: [
          {
            name: 'api',
            image: 'registry.example.org/shop/api:1',
            poolSize: 4,
            localResources: { environment: { config: { LOG: 'info' } }, allowedHosts: ['https://orders.example.com'] },
          },
        ],
        hostInterfaces: [
          {
            namespace: 'wasi',
            package: 'http',
            interfaces: ['incoming-handler'],
            config: { host: 'shop.example.org' },
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

if (import.meta.main) await writeFile(manifestDocsPath, manifestDocs())
