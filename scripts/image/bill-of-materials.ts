import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Contrib, Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library'
import type { RootFilesystem } from './root-filesystem.ts'
import type { ShippedPackage } from './shipped-packages.ts'

type PackageLock = { readonly packages: Readonly<Record<string, { readonly integrity?: string }>> }

/**
 * The image's bill of materials, CycloneDX 1.6: the npm packages that are in it, Node, and the Debian packages. The same image gives the
 * same text. `npm sbom` would list all that npm installs, three times what is in the image.
 * @throws if a package is not in package-lock.json
 */
export function billOfMaterials(root: string, { npmPackages, debianPackages }: RootFilesystem): string {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as PackageLock
  const references = new Contrib.FromNodePackageJson.Factories.ExternalReferenceFactory()
  const licenses = new Contrib.License.Factories.LicenseFactory(() => {
    // Expressions such as "MIT OR Apache-2.0" are kept as they are written.
    throw new SyntaxError('not parsed')
  })
  const builder = new Contrib.FromNodePackageJson.Builders.ComponentBuilder(references, licenses)
  const read = (directory: string) => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  const fromNpm = ({ directory, name, version }: ShippedPackage): Models.Component => {
    const component = builder.makeComponent(read(directory))
    const locked = packages[directory.slice(root.length + 1)]
    if (component === undefined || locked === undefined) throw new Error(`package-lock.json does not know ${directory}`)
    const [algorithm, hash] = locked.integrity?.split('-', 2) ?? []
    if (algorithm === 'sha512' && hash !== undefined) {
      component.hashes.set(Enums.HashAlgorithm['SHA-512'], Buffer.from(hash, 'base64').toString('hex'))
    }
    component.purl = `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`
    component.bomRef.value = component.purl
    return component
  }

  const bom = new Models.Bom()
  const herald = builder.makeComponent(read(root), Enums.ComponentType.Container)
  if (herald === undefined) throw new Error('package.json has no name')
  herald.bomRef.value = 'herald'
  bom.metadata.component = herald
  const node = join(root, 'node_modules/node')
  for (const each of [...npmPackages, { ...read(node), directory: node }]) bom.components.add(fromNpm(each))
  for (const { name, version, architecture } of debianPackages) {
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`
    bom.components.add(new Models.Component(Enums.ComponentType.Library, name, { version, purl, bomRef: purl }))
  }
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6))
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`
}
