// What the engine bench asks for: / says hello like components/hello-c, /echo gives the request's body back, /loop never ends.
#include "buffer.h"
#include "wasi-http.h"

#define STREAMS "wasi:io/streams@0.2.12"
IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT(HTTP, "[method]incoming-request.consume") void incoming_request_consume(handle self, handle_result *result);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_body_stream(handle self, handle_result *result);
IMPORT(HTTP, "[resource-drop]incoming-body") void incoming_body_drop(handle self);
IMPORT(STREAMS, "[resource-drop]input-stream") void input_stream_drop(handle self);
IMPORT(STREAMS, "[method]output-stream.subscribe") handle output_stream_subscribe(handle self);
IMPORT(STREAMS, "[method]output-stream.blocking-flush") void output_stream_blocking_flush(handle self, stream_result *result);

// result<list<u8>, stream-error>
typedef struct {
  uint8_t is_error;
  union {
    text bytes;
    struct {
      uint8_t closed;
      handle error;
    };
  };
} read_result;
IMPORT(STREAMS, "[method]input-stream.blocking-read")
void input_stream_blocking_read(handle self, uint64_t length, read_result *result);

static bool write_permitted(handle stream, text bytes) {
  for (uint32_t at = 0; at < bytes.length;) {
    check_write_result check;
    output_stream_check_write(stream, &check);
    if (check.is_error) return false;
    if (check.permitted == 0) {
      const handle pollable = output_stream_subscribe(stream);
      pollable_block(pollable);
      pollable_drop(pollable);
      continue;
    }
    const uint32_t rest = bytes.length - at;
    const uint32_t length = check.permitted < rest ? (uint32_t)check.permitted : rest;
    stream_result written;
    output_stream_write(stream, bytes.at + at, length, &written);
    if (written.is_error) return false;
    at += length;
  }
  return true;
}

static void echo(handle request, handle out) {
  handle_result result;
  incoming_request_consume(request, &result);
  const handle incoming = result.value;
  incoming_body_stream(incoming, &result);
  const handle input = result.value;
  const handle response = outgoing_response_new(fields_new());
  outgoing_response_body(response, &result);
  const handle body = result.value;
  response_outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  outgoing_body_write(body, &result);
  const handle output = result.value;
  const uint32_t mark = arena_mark();
  for (;;) {
    read_result read;
    arena_release(mark);
    input_stream_blocking_read(input, 65536, &read);
    if (read.is_error) break;
    if (!write_permitted(output, read.bytes)) break;
  }
  stream_result flushed;
  output_stream_blocking_flush(output, &flushed);
  input_stream_drop(input);
  incoming_body_drop(incoming);
  output_stream_drop(output);
  uint64_t finished[5];
  outgoing_body_finish(body, 0, 0, finished);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  optional_text path;
  incoming_request_path(request, &path);
  if (path.is_some && same(path.value, TEXT("/echo"))) {
    echo(request, out);
  } else if (path.is_some && same(path.value, TEXT("/loop"))) {
    for (volatile int i = 0;; i++) {}
  } else {
    respond(out, 200, TEXT("text/plain; charset=utf-8"), TEXT("hello\n"));
  }
  incoming_request_drop(request);
}
