import type { HostInterface } from './host-interface.ts'

/**
 * One name of `host` or `host-aliases` of a `wasi:http` entry, lower case; `*` stands for any host.
 * @returns undefined when it is not what a Host header can hold before its port.
 */
export function parseHttpHost(text: string): string | undefined {
  const name = text.trim().toLowerCase()
  if (name === '*') return name
  const isName =
    /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(name) && name.length <= 253
  return isName || /^\[[0-9a-f:.]{2,45}\]$/.test(name) ? name : undefined
}

/**
 * The names a `wasi:http` entry answers to: `host` and the comma-separated `host-aliases` of its config.
 * @returns `any` when neither is given, or one is `*`; undefined when a name is not valid.
 */
export function httpHostsOf(entry: HostInterface): readonly string[] | 'any' | undefined {
  const names = ['host', 'host-aliases'].flatMap((key) => entry.config[key]?.split(',') ?? []).map(parseHttpHost)
  if (names.includes(undefined)) return undefined
  if (names.length === 0 || names.includes('*')) return 'any'
  return [...new Set(names as string[])]
}
