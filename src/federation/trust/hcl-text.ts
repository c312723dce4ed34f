/** A quoted string of Terraform's language, in which neither `${` nor `%{` begins a template. */
export function hclText(text: string): string {
  return JSON.stringify(text).replaceAll(/[$%]\{/g, (opening) => `${opening[0]}${opening}`)
}
