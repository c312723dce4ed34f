/** The content of the only `<name>` element with text content, or undefined when there is none or more than one. STS's answers are flat. */
export function onlyElement(xml: string, name: string): string | undefined {
  if (/<!|<\?(?!xml )/.test(xml)) return undefined
  const found = [...xml.matchAll(new RegExp(`<${name}>([^<>]*)</${name}>`, 'g'))]
  const text = found[0]?.[1]
  return found.length === 1 && text !== undefined ? decodeEntities(text) : undefined
}

function decodeEntities(text: string): string {
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replaceAll(/&(amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-fA-F]{1,5});/g, (whole, entity: string) => {
    if (!entity.startsWith('#')) return entities[entity] ?? whole
    const point = entity.startsWith('#x') ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1))
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })
}
