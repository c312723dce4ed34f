export type SlimGlue =
  | { readonly slim: true; readonly source: string }
  | { readonly slim: false; readonly reason: string }

export function slimGlue(_source: string): SlimGlue {
  return { slim: false, reason: 'not yet' }
}
