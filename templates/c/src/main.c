#include "jwt-claims.h"
#include "wasi-http.h"
#include "wasmcloud-identity.h"

static const text plain = TEXT("text/plain; charset=utf-8");

// GET /whoami: the SPIFFE ID in a token that the host obtained for exactly this component.
static void respond_whoami(handle out) {
  const text audience = TEXT("sts.amazonaws.com");
  identity_result result;
  identity_get(audience.at, audience.length, &result);
  if (result.is_error && result.kind == IDENTITY_IO) return respond(out, 503, plain, result.value);
  if (result.is_error && result.kind == IDENTITY_OTHER) return respond(out, 403, plain, result.value);
  claims who;
  if (result.is_error || result.kind == 0) return respond(out, 403, plain, TEXT("no registration entry matches\n"));
  if (!read_claims(result.value, &who)) return respond(out, 502, plain, TEXT("not a JWT-SVID\n"));
  respond(out, 200, plain, who.subject);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  optional_text target;
  incoming_request_path(request, &target);
  incoming_request_drop(request);
  const text path = target.is_some ? target.value : TEXT("/");
  if (same(path, TEXT("/whoami"))) return respond_whoami(out);
  if (same(path, TEXT("/"))) return respond(out, 200, plain, TEXT("hello from component-name\n"));
  respond(out, 404, plain, TEXT("there is / and /whoami\n"));
}
