/** One word of a POSIX shell command, quoted only when it must be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** A command: single words first, then options (each with its value) on lines of their own when it gets long. */
export function shellCommand(...words: readonly (string | readonly string[])[]): string {
  const groups = words.map((word) => ({
    text: (typeof word === 'string' ? [word] : word).map(shellWord).join(' '),
    option: typeof word !== 'string',
  }))
  const line = groups.map(({ text }) => text).join(' ')
  if (line.length <= 110) return line
  return groups.map(({ text, option }, index) => `${index === 0 ? '' : option ? ' \\\n  ' : ' '}${text}`).join('')
}
