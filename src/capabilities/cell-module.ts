/** The module of a capability's cell side, beside the file at `importMetaUrl`: source when run from source, else built. */
export function cellModule(importMetaUrl: string, name: string): URL {
  return new URL(`./${name}${importMetaUrl.endsWith('.ts') ? '.ts' : '.js'}`, importMetaUrl)
}
