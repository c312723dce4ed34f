/**
 * The stream of a body is its child: the guest must drop it before it finishes or drops the body.
 * @throws Error (a trap) when it has not, as the interface demands.
 */
export function mustBeDropped(stream: { readonly dropped: boolean } | undefined): void {
  if (stream?.dropped === false)
    throw new Error('wasi:http/types: a body was finished or dropped while its stream is held')
}
