import { Option } from 'commander'
import { parseListenAddress } from './option-values.ts'

/** `--health`, of every command that serves until it is ended. */
export function healthOption(): Option {
  return new Option(
    '--health <address>',
    'where GET /livez, /readyz and /metrics are answered, without authentication; off by default. In a pod: :8081',
  ).argParser(parseListenAddress)
}
