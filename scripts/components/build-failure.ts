/** A component could not be built: what failed, with the tool's own words, or what to install. */
export class BuildFailure extends Error {
  override readonly name: string = 'BuildFailure'
}

/** The tool that a language needs is not there and could not be had; the message says what to install. */
export class ToolMissing extends BuildFailure {
  override readonly name: string = 'ToolMissing'
}

/** The tool comes from no package registry, and could not be had from where it comes from: nothing that this repository can install. */
export class ToolUnobtainable extends ToolMissing {
  override readonly name = 'ToolUnobtainable'
}
