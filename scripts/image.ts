// `npm run image`: Herald's container image as an OCI image layout, without a container engine.
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createLog } from '../src/observability/log.ts'
import { createDockerCredentials } from '../src/oci/docker-credentials.ts'
import { billOfMaterials } from './image/bill-of-materials.ts'
import { type ImageConfig, type WrittenImage, writeOciLayout } from './image/oci-layout.ts'
import { pushLayout } from './image/push-layout.ts'
import { buildRootFilesystem, nonRoot, type RootFilesystem } from './image/root-filesystem.ts'

const usage = `usage: npm run image [-- --output DIR] [--tag TAG] [--push REGISTRY/REPOSITORY:TAG] [--rootfs DIR]

Writes an OCI image layout: Node, the Debian libraries it needs, Herald, and the npm packages that Herald's code reaches; no shell, no package manager,
no build tools. Runs as ${nonRoot.uid}. The bill of materials (CycloneDX) is in the image and beside the layout. Needs Debian, and root is not needed.

  --output DIR   where the layout goes (default build/image; it is emptied first)
  --tag TAG      name in the layout's index (default: Herald's version)
  --push REF     pushes it afterwards, with the credentials of $DOCKER_CONFIG or ~/.docker/config.json
  --rootfs DIR   only writes the root file system there, for the Dockerfile

Use the layout with what takes one: skopeo copy oci:build/image:TAG …, podman pull oci:build/image:TAG, ctr image import.
`

const root = resolve(import.meta.dirname, '..')

export type BuiltImage = WrittenImage & {
  readonly layout: string
  readonly bomPath: string
  readonly npmPackages: number
  readonly debianPackages: number
}

/** Builds the image into `directory`, which is emptied first; what was put together on the way is below it until the end. */
export async function buildImage(directory: string, tag = heraldVersion()): Promise<BuiltImage> {
  rmSync(directory, { recursive: true, force: true })
  const workspace = join(directory, 'work')
  mkdirSync(workspace, { recursive: true })
  const files = await buildFiles(workspace)
  const bomPath = join(directory, 'herald.cdx.json')
  copyFileSync(join(files.applicationDirectory, bomInImage), bomPath)
  const layout = join(directory, 'layout')
  const image = await writeOciLayout(layout, [files.systemDirectory, files.applicationDirectory], imageConfig(), tag)
  rmSync(workspace, { recursive: true })
  return {
    ...image,
    layout,
    bomPath,
    npmPackages: files.npmPackages.length,
    debianPackages: files.debianPackages.length,
  }
}

/** Writes the image's files, merged, to `directory`. */
export async function writeRootFilesystem(directory: string): Promise<void> {
  const workspace = join(directory, '..', `.${Date.now()}-rootfs`)
  const { systemDirectory, applicationDirectory } = await buildFiles(workspace)
  for (const folder of [systemDirectory, applicationDirectory])
    cpSync(folder, directory, { recursive: true, verbatimSymlinks: true })
  rmSync(workspace, { recursive: true })
}

const bomInImage = 'usr/share/sbom/herald.cdx.json'

/** All that is in the image, its bill of materials too. */
async function buildFiles(workspace: string): Promise<RootFilesystem> {
  const files = await buildRootFilesystem(root, workspace)
  const bom = join(files.applicationDirectory, bomInImage)
  mkdirSync(dirname(bom), { recursive: true })
  writeFileSync(bom, billOfMaterials(root, files))
  return files
}

function imageConfig(): ImageConfig {
  const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }
  const architecture = architectures[process.arch]
  if (architecture === undefined) throw new Error(`there is no name for the architecture ${process.arch} in an image`)
  return {
    architecture,
    config: {
      User: `${nonRoot.uid}:${nonRoot.gid}`,
      Env: ['PATH=/usr/local/bin', 'NODE_ENV=production', 'HOME=/tmp'],
      Entrypoint: ['/usr/local/bin/node', '--disable-warning=ExperimentalWarning', '/herald/dist/cli/main.js'],
      Cmd: ['--help'],
      WorkingDir: '/',
      StopSignal: 'SIGTERM',
      ExposedPorts: { '8000/tcp': {}, '8081/tcp': {} },
      Labels: {
        'org.opencontainers.image.title': 'Herald',
        'org.opencontainers.image.description':
          'Hosts WebAssembly components and gives every one its own SPIFFE identity.',
        'org.opencontainers.image.version': heraldVersion(),
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
  }
}

function heraldVersion(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: join(root, 'build/image') },
      tag: { type: 'string' },
      push: { type: 'string' },
      rootfs: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  if (values.rootfs !== undefined) {
    await writeRootFilesystem(resolve(values.rootfs))
    return
  }
  const started = performance.now()
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  const image = await buildImage(resolve(values.output), values.tag)
  console.log(`${image.layout}\n  ${image.manifest.digest}`)
  console.log(
    `  ${megabytes(image.uncompressedBytes)} on disk, ${megabytes(image.compressedBytes)} to pull; ${image.npmPackages} npm and ${image.debianPackages} Debian packages`,
  )
  console.log(`  bill of materials: ${image.bomPath}; in ${((performance.now() - started) / 1000).toFixed(0)} s`)
  if (values.push === undefined) return
  const credentials = createDockerCredentials({
    configPath: join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json'),
    helperDirectories: (process.env.PATH ?? '').split(':'),
    helperEnvironment: process.env as Record<string, string>,
  })
  const digest = await pushLayout(image.layout, values.push, {
    credentials,
    log: createLog({ level: 'warn', destination: process.stderr }),
    signal: AbortSignal.timeout(600_000),
  })
  console.log(`pushed ${values.push} ${digest}`)
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
