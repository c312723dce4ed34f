/** `wasi:http/types#method`. */
export type Method = { readonly tag: string; readonly val?: string }

const known: ReadonlyMap<string, Method> = new Map(
  ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'].map((name) => [
    name,
    { tag: name.toLowerCase() },
  ]),
)

/** From the wire; methods are case-sensitive (RFC 9110 §9.1). */
export function methodFromText(text: string): Method {
  return known.get(text) ?? { tag: 'other', val: text }
}

export function methodToText(method: Method): string {
  return method.tag === 'other' ? (method.val ?? '') : method.tag.toUpperCase()
}
