/** URL of a worker's entry module beside `moduleUrl`: `.ts` in a checkout, `.js` once built. */
export function workerUrl(name: string, moduleUrl: string): URL {
  return new URL(`./${name}${moduleUrl.slice(moduleUrl.lastIndexOf('.'))}`, moduleUrl)
}
