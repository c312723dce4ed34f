/** A component could not be built: what failed, with the tool's own words, or what to install. */
export class BuildFailure extends Error {
  override readonly name = 'BuildFailure'
}
