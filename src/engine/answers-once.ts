import type { CoreModuleFacts } from './core-module.ts'

const handler = /^wasi:http\/incoming-handler@0\.2\.\d+#handle$/

/**
 * Whether an instance of the component answers one HTTP request and no more. So it is with programs in JavaScript that listen for the
 * `fetch` event: StarlingMonkey's own handler (componentize-js 0.20 to 0.23) raises the event once and then says that it was answered.
 * A program that exports the handler itself goes through bindings of componentize-js, which also export what cleans up after a call.
 */
export function answersOnce(modules: readonly CoreModuleFacts[]): boolean {
  return modules.some(({ exportNames }) => {
    if (!exportNames.includes('wizer.resume') || !exportNames.includes('check_init')) return false
    const name = exportNames.find((each) => handler.test(each))
    return name !== undefined && !exportNames.includes(`cabi_post_${name}`)
  })
}
