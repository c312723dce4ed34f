/**
 * What transpiled components depend on besides their own bytes; part of every cache key. The release of jco is the one that `slimGlue`
 * knows; the pass's number changes whenever its output does.
 */
export const glueVersion = 'jco 1.35.0, slim glue 5, shim bypass 1, bounded handles 1'
