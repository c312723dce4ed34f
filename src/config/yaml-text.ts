import { stringify } from 'yaml'

/** A value of JSON as a YAML document, ended by a newline; long texts stay on one line. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0 })
}
