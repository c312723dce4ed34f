#include "wasi-http.h"

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  incoming_request_drop(request);
  respond(out, 200, TEXT("text/plain; charset=utf-8"), TEXT("hello\n"));
}
