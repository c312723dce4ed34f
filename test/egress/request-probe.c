// Sends one request: arguments METHOD SCHEME AUTHORITY PATH BODY WHEN [NAME VALUE]…, where WHEN is `before` or `after` handle (the body), and
// BODY `-` for none, or `*N` for N letters. Prints `status N`, `body …`, or `error N` (the case of error-code); then, after all of it, what
// fields the guest sees in its own request: `sees NAME,…`.
#include "buffer.h"
#include "wasi-cli.h"
#include "wasi-http.h"

#define OUT "wasi:http/outgoing-handler@0.2.12"
IMPORT(HTTP, "[constructor]outgoing-request") handle outgoing_request_new(handle headers);
IMPORT(HTTP, "[method]outgoing-request.set-method") int32_t set_method(handle self, int32_t kind, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.set-scheme")
int32_t set_scheme(handle self, int32_t some, int32_t kind, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.set-authority") int32_t set_authority(handle self, int32_t some, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query") int32_t set_path(handle self, int32_t some, const char *at, uint32_t length);
IMPORT(HTTP, "[method]outgoing-request.body") void outgoing_request_body(handle self, handle_result *result);
IMPORT(HTTP, "[method]outgoing-request.headers") handle outgoing_request_headers(handle self);
IMPORT(HTTP, "[method]fields.entries") void fields_entries(handle self, variables *result);
IMPORT(OUT, "handle") void outgoing_handle(handle request, int32_t some, handle options, uint64_t result[5]);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") handle future_subscribe(handle self);
IMPORT(HTTP, "[method]future-incoming-response.get") void future_get(handle self, uint64_t result[7]);
IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT(HTTP, "[method]incoming-response.status") int32_t response_status(handle self);
IMPORT(HTTP, "[method]incoming-response.consume") void response_consume(handle self, handle_result *result);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_body_stream(handle self, handle_result *result);

typedef struct {
  uint32_t is_error;
  const char *at;
  uint32_t length;
} read_result;
IMPORT("wasi:io/streams@0.2.12", "[method]input-stream.blocking-read") void input_read(handle self, int64_t length, read_result *result);

static char space[65536];
static char letters[4096];

static void write_body(handle body, text value) {
  handle_result result;
  outgoing_body_write(body, &result);
  const handle stream = result.value;
  if (value.length > 0 && value.at[0] == '*') {
    uint64_t n = 0;
    for (uint32_t i = 1; i < value.length; i++) n = n * 10 + (uint64_t)(value.at[i] - '0');
    for (uint32_t i = 0; i < sizeof letters; i++) letters[i] = 'x';
    stream_result written;
    for (uint64_t done = 0; done < n; done += sizeof letters) {
      const uint64_t rest = n - done;
      output_stream_blocking_write_and_flush(stream, letters, rest < sizeof letters ? (uint32_t)rest : sizeof letters, &written);
      if (written.is_error) break;
    }
  } else {
    write_all(stream, value);
  }
  output_stream_drop(stream);
  uint64_t finished[5];
  outgoing_body_finish(body, 0, 0, finished);
}

EXPORT("wasi:cli/run@0.2.12#run") int32_t run(void) {
  arena_reset();
  buffer out = {space, 0, sizeof space, false};
  texts arguments;
  arguments_get(&arguments);
  if (arguments.length < 6) {
    // A host gives the component's name as the only argument: then they are the values of the environment, in order.
    variables environment;
    environment_get(&environment);
    text *values = arena_take(environment.length * sizeof(text), sizeof(void *));
    for (uint32_t i = 0; i < environment.length; i++) values[i] = environment.at[i].value;
    arguments = (texts){values, environment.length};
  }
  const text *argument = arguments.at;
  handle_result result;
  const handle headers = fields_new();
  for (uint32_t i = 6; i + 1 < arguments.length; i += 2)
    fields_append(headers, argument[i].at, argument[i].length, argument[i + 1].at, argument[i + 1].length, &result);
  const handle request = outgoing_request_new(headers);
  set_method(request, 9, argument[0].at, argument[0].length);
  set_scheme(request, 1, same(argument[1], TEXT("https")) ? 1 : 0, 0, 0);
  set_authority(request, 1, argument[2].at, argument[2].length);
  set_path(request, 1, argument[3].at, argument[3].length);
  const handle seen = outgoing_request_headers(request);
  const bool has_body = !same(argument[4], TEXT("-")), before = same(argument[5], TEXT("before"));
  handle body = 0;
  if (has_body) {
    outgoing_request_body(request, &result);
    body = result.value;
    if (before) write_body(body, argument[4]);
  }
  uint64_t started[5], got[7];
  outgoing_handle(request, 0, 0, started);
  const uint8_t *start = (const uint8_t *)started;
  if (start[0]) {
    put(&out, TEXT("error "));
    put_number(&out, start[8]);
  } else {
    if (has_body && !before) write_body(body, argument[4]);
    const handle future = *(const handle *)(start + 8);
    const handle pollable = future_subscribe(future);
    pollable_block(pollable);
    pollable_drop(pollable);
    future_get(future, got);
    const uint8_t *at = (const uint8_t *)got;
    if (at[16]) {
      put(&out, TEXT("error "));
      put_number(&out, at[24]);
    } else {
      const handle response = *(const handle *)(at + 24);
      put(&out, TEXT("status "));
      put_number(&out, (uint64_t)response_status(response));
      put(&out, TEXT("\nbody "));
      response_consume(response, &result);
      const handle incoming = result.value;
      incoming_body_stream(incoming, &result);
      const handle stream = result.value;
      for (;;) {
        read_result chunk;
        input_read(stream, 4096, &chunk);
        if (chunk.is_error & 0xff) break;
        put(&out, (text){chunk.at, chunk.length});
      }
    }
  }
  put(&out, TEXT("\nsees"));
  variables entries;
  fields_entries(seen, &entries);
  for (uint32_t i = 0; i < entries.length; i++) {
    put_char(&out, ' ');
    put(&out, entries.at[i].name);
  }
  put_char(&out, '\n');
  write_all(stdout_get(), (text){out.at, out.length});
  return 0;
}
