import { HeraldError } from '../errors/herald-error.ts'
import { type ListenRange, parseListenRange } from '../manifest/listen-range.ts'

/** What `--allow-listen` was given, each with commas between several. @throws ERR_USAGE */
export function parseAllowListen(values: readonly string[]): readonly ListenRange[] {
  return values
    .flatMap((value) => value.split(','))
    .map((text) => {
      const range = parseListenRange(text.trim())
      if (range !== undefined) return range
      throw new HeraldError('ERR_USAGE', `--allow-listen ${JSON.stringify(text)} is no address`, {
        hint: 'write ADDRESS:PORT, PORT (on 127.0.0.1) or :PORT (on all addresses), or PORT-PORT in place of a port',
      })
    })
}
