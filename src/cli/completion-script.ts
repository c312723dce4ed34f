export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

export type CommandWords = {
  /** `['identity', 'token']`; empty for the root. */
  readonly path: readonly string[]
  readonly commands: readonly { readonly name: string; readonly summary: string }[]
  readonly options: readonly {
    readonly name: string
    readonly summary: string
    readonly choices: readonly string[]
    readonly takesValue: boolean
  }[]
  readonly argumentChoices: readonly string[]
}

/** A completion script that stands alone: it does not start herald to complete. */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return `#compdef herald\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`
    case 'fish':
      return fish(commands)
  }
}

function bash(commands: readonly CommandWords[]): string {
  const cases = commands.map(({ path, commands: children, options, argumentChoices }) => {
    const words = [...children.map(({ name }) => name), ...argumentChoices, ...options.map(({ name }) => name)]
    return `    ${quote(path.join(' '))}) words=${quote(words.join(' '))} ;;`
  })
  const values = new Map(
    commands.flatMap(({ options }) => options.map(({ name, choices }) => [name, choices] as const)),
  )
  const withChoices = [...values].filter(([, choices]) => choices.length > 0)
  const takesPath = [
    ...new Set(commands.flatMap(({ options }) => options.filter((o) => o.takesValue).map(({ name }) => name))),
  ].filter((name) => !withChoices.some(([known]) => known === name))
  const known = commands.map(({ path }) => quote(path.join(' '))).filter((path) => path !== "''")
  return `_herald() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${known.join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$previous" in
${withChoices.map(([name, choices]) => `    ${name}) COMPREPLY=($(compgen -W ${quote(choices.join(' '))} -- "$current")); return ;;`).join('\n')}
    ${takesPath.join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ "$current" == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _herald herald
`
}

function fish(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ path, commands: children, options, argumentChoices }) => {
    const condition =
      path.length === 0
        ? '__fish_use_subcommand'
        : `${path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')}`
    return [
      ...children.map(
        ({ name, summary }) => `complete -c herald -f -n ${quote(condition)} -a ${name} -d ${quote(summary)}`,
      ),
      ...argumentChoices.map((choice) => `complete -c herald -f -n ${quote(condition)} -a ${choice}`),
      ...options.map(({ name, summary, choices, takesValue }) => {
        const value = choices.length > 0 ? ` -x -a ${quote(choices.join(' '))}` : takesValue ? ' -r' : ''
        return `complete -c herald -n ${quote(condition)} -l ${name.replace(/^--/, '')}${value} -d ${quote(summary)}`
      }),
    ]
  })
  return `${lines.join('\n')}\n`
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
