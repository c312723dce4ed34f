/** What an expression of Prometheus' query language reads: names of metrics, and labels with the texts they are compared with. */
export type PrometheusReads = {
  readonly metrics: readonly string[]
  readonly labels: readonly { readonly name: string; readonly operator?: string; readonly value?: string }[]
}

const words = new Set(['by', 'without', 'on', 'ignoring', 'and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan'])

/** Enough of the grammar for rules and dashboards: an identifier before `(` is a function; what stands in `{}`, or after `by`, are labels. */
export function readExpression(expression: string): PrometheusReads {
  const labels: { name: string; operator?: string; value?: string }[] = []
  const rest = expression
    .replace(/\{([^}]*)\}/g, (_, matchers: string) => {
      for (const [, name = '', operator = '', value = ''] of matchers.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g))
        labels.push({ name, operator, value })
      return ' '
    })
    .replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_, list: string) => {
      for (const name of list.split(',')) labels.push({ name: name.trim() })
      return ' '
    })
    .replace(/\[[^\]]*\]/g, ' ')
  const metrics = [...rest.matchAll(/(?<!\w)[A-Za-z_:][\w:]*(?!\w)(?!\s*\()/g)].map(([name]) => name)
  return { metrics: [...new Set(metrics.filter((name) => !words.has(name)))], labels }
}
