import { WasmFormatError } from './wasm-reader.ts'

/**
 * Names end up in the JavaScript that jco generates, between quotes, and the component model lets core modules choose them
 * freely. Anything that could leave its quotes, its comment or its line is refused before jco sees it.
 * @throws WasmFormatError
 */
export function checkName(name: string): string {
  if (name.length > 4096 || !/^[\x20-\x7e]*$/.test(name) || /['"`\\]|\*\/|\$\{/.test(name)) {
    throw new WasmFormatError(`the name ${printable(name.slice(0, 64))} has characters that are not allowed`)
  }
  return name
}

/** Quoted, and in ASCII: what reads logs and terminals takes U+2028 for a new line, and U+202E turns text around. */
function printable(name: string): string {
  return JSON.stringify(name).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
