// Answers each request by one of its own: GET of the path `/relayed?secret=query` at the authority that its only environment variable names.
// Answers with the status that came, or 599 when none did, and with the traceparent that it was sent itself.
#include "buffer.h"
#include "wasi-cli.h"
#include "wasi-http.h"

IMPORT(HTTP, "[constructor]outgoing-request") handle outgoing_request_new(handle headers);
IMPORT(HTTP, "[method]outgoing-request.set-scheme")
int32_t set_scheme(handle self, int32_t some, int32_t kind, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.set-authority") int32_t set_authority(handle self, int32_t some, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query") int32_t set_path(handle self, int32_t some, const char *at, uint32_t length);
IMPORT("wasi:http/outgoing-handler@0.2.12", "handle") void outgoing_handle(handle request, int32_t some, handle options, uint64_t result[5]);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") handle future_subscribe(handle self);
IMPORT(HTTP, "[method]future-incoming-response.get") void future_get(handle self, uint64_t result[7]);
IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT(HTTP, "[method]incoming-response.status") int32_t response_status(handle self);
IMPORT(HTTP, "[method]incoming-request.headers") handle request_headers(handle self);
IMPORT(HTTP, "[method]fields.entries") void fields_entries(handle self, variables *result);

static char space[4096];

static uint16_t relay(text authority) {
  const handle request = outgoing_request_new(fields_new());
  const text path = TEXT("/relayed?secret=query");
  set_scheme(request, 1, 0, 0, 0);
  set_authority(request, 1, authority.at, authority.length);
  set_path(request, 1, path.at, path.length);
  uint64_t started[5], got[7];
  outgoing_handle(request, 0, 0, started);
  const uint8_t *start = (const uint8_t *)started;
  if (start[0]) return 599;
  const handle future = *(const handle *)(start + 8);
  const handle pollable = future_subscribe(future);
  pollable_block(pollable);
  pollable_drop(pollable);
  future_get(future, got);
  const uint8_t *at = (const uint8_t *)got;
  return at[16] ? 599 : (uint16_t)response_status(*(const handle *)(at + 24));
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  buffer answer = {space, 0, sizeof space, false};
  variables environment, entries;
  environment_get(&environment);
  const uint16_t status = environment.length > 0 ? relay(environment.at[0].value) : 599;
  fields_entries(request_headers(request), &entries);
  for (uint32_t i = 0; i < entries.length; i++)
    if (same(entries.at[i].name, TEXT("traceparent"))) put(&answer, entries.at[i].value);
  respond(out, status, TEXT("text/plain"), (text){answer.at, answer.length});
}
