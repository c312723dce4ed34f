// A guest that misbehaves on request: each path is one fault, or one behaviour that the tests of engine and ingress look at.
#include "buffer.h"
#include "wasi-cli.h"
#include "wasi-http.h"

IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT("wasi:clocks/monotonic-clock@0.2.12", "subscribe-duration") handle subscribe_duration(uint64_t nanoseconds);
IMPORT(HTTP, "[method]incoming-request.consume") void incoming_request_consume(handle self, handle_result *result);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_body_stream(handle self, handle_result *result);
IMPORT(HTTP, "[resource-drop]incoming-body") void incoming_body_drop(handle self);
IMPORT("wasi:io/streams@0.2.12", "[resource-drop]input-stream") void input_stream_drop(handle self);

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
IMPORT("wasi:io/streams@0.2.12", "[method]input-stream.blocking-read")
void input_stream_blocking_read(handle self, uint64_t length, read_result *result);

static uint32_t calls;
static int inside;

static void sleep_ms(uint64_t ms) {
  const handle pollable = subscribe_duration(ms * 1000000u);
  pollable_block(pollable);
  pollable_drop(pollable);
}

static handle begin(handle out, text name, text value, handle *body) {
  handle_result result;
  const handle headers = fields_new();
  if (name.length > 0) fields_append(headers, name.at, name.length, value.at, value.length, &result);
  const handle response = outgoing_response_new(headers);
  outgoing_response_body(response, &result);
  *body = result.value;
  response_outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  outgoing_body_write(*body, &result);
  return result.value;
}

static void finish(handle stream, handle body) {
  uint64_t finished[5];
  output_stream_drop(stream);
  outgoing_body_finish(body, 0, 0, finished);
}

static bool write_blocking(handle stream, text bytes) {
  stream_result written;
  output_stream_blocking_write_and_flush(stream, bytes.at, bytes.length, &written);
  if (written.is_error && !written.closed) io_error_drop(written.error);
  return !written.is_error;
}

static void echo(handle request, handle out) {
  handle_result result;
  handle body;
  incoming_request_consume(request, &result);
  const handle incoming = result.value;
  incoming_body_stream(incoming, &result);
  const handle input = result.value;
  const handle output = begin(out, TEXT(""), TEXT(""), &body);
  const uint32_t mark = arena_mark();
  for (;;) {
    read_result read;
    arena_release(mark);
    input_stream_blocking_read(input, 4096, &read);
    if (read.is_error) {
      if (!read.closed) io_error_drop(read.error);
      break;
    }
    if (!write_blocking(output, read.bytes)) break;
  }
  input_stream_drop(input);
  incoming_body_drop(incoming);
  finish(output, body);
}

static void big(handle out) {
  static char chunk[4096];
  handle body;
  const handle output = begin(out, TEXT(""), TEXT(""), &body);
  for (int i = 0; i < 4096; i++) chunk[i] = 'x';
  for (int i = 0; i < 2048; i++)
    if (!write_blocking(output, (text){chunk, sizeof chunk})) break;
  finish(output, body);
}

static void number(handle out, uint64_t value) {
  char space[32];
  buffer buffer = {space, 0, sizeof space, false};
  put_number(&buffer, value);
  respond(out, 200, TEXT("text/plain"), (text){space, buffer.length});
}

static void spin(void) {
  for (volatile int i = 0; i < 4000000; i++) {}
}

static volatile int stop;
// Uses no stack in linear memory: what overflows is the host's.
__attribute__((noinline)) static int recurse(int depth) {
  if (stop) return depth;
  return recurse(depth + 1) * 3 + depth;
}

static text path_of(handle request) {
  optional_text path;
  incoming_request_path(request, &path);
  return path.is_some ? path.value : TEXT("/");
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const text path = path_of(request);
  handle body;
  calls++;
  if (same(path, TEXT("/loop"))) {
    for (volatile int i = 0;; i++) {}
  } else if (same(path, TEXT("/spin"))) {
    spin();
    respond(out, 200, TEXT("text/plain"), path);
  } else if (same(path, TEXT("/spin-and-yield"))) {
    for (;;) {
      spin();
      sleep_ms(1);
    }
  } else if (same(path, TEXT("/trap"))) {
    __builtin_trap();
  } else if (same(path, TEXT("/recurse"))) {
    number(out, recurse(0));
  } else if (same(path, TEXT("/allocate"))) {
    while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) {}
    number(out, __builtin_wasm_memory_size(0));
  } else if (same(path, TEXT("/allocate-and-trap"))) {
    for (;;) arena_take(1 << 20, 8);
  } else if (same(path, TEXT("/sleep"))) {
    sleep_ms(60000);
    number(out, 1);
  } else if (same(path, TEXT("/exclusive"))) {
    const int others = inside++;
    sleep_ms(5);
    inside--;
    number(out, others);
  } else if (same(path, TEXT("/calls"))) {
    number(out, calls);
  } else if (same(path, TEXT("/echo"))) {
    echo(request, out);
  } else if (same(path, TEXT("/big"))) {
    big(out);
  } else if (same(path, TEXT("/nothing"))) {
    return;
  } else if (same(path, TEXT("/half"))) {
    write_blocking(begin(out, TEXT(""), TEXT(""), &body), TEXT("half"));
    sleep_ms(20);
    __builtin_trap();
  } else if (same(path, TEXT("/unfinished"))) {
    write_blocking(begin(out, TEXT(""), TEXT(""), &body), TEXT("unfinished"));
  } else if (same(path, TEXT("/too-short"))) {
    const handle output = begin(out, TEXT("content-length"), TEXT("100"), &body);
    write_blocking(output, TEXT("short"));
    finish(output, body);
  } else if (same(path, TEXT("/twice"))) {
    respond(out, 200, TEXT("text/plain"), TEXT("once"));
    respond(out, 200, TEXT("text/plain"), TEXT("twice"));
  } else if (same(path, TEXT("/exit"))) {
    exit_with_code(3);
  } else if (same(path, TEXT("/hoard-fields"))) {
    for (;;) fields_new();
  } else if (same(path, TEXT("/hoard-pollables"))) {
    for (;;) subscribe_duration(1000000000u);
  } else if (same(path, TEXT("/hoard-responses"))) {
    for (;;) outgoing_response_new(fields_new());
  } else if (same(path, TEXT("/take-and-drop"))) {
    for (int i = 0; i < 20000; i++) pollable_drop(subscribe_duration(1000000000u));
    number(out, 20000);
  } else {
    respond(out, 200, TEXT("text/plain"), path);
  }
  incoming_request_drop(request);
}

EXPORT("wasi:cli/run@0.2.12#run")
int32_t run(void) {
  texts arguments;
  arena_reset();
  arguments_get(&arguments);
  const text what = arguments.length > 0 ? arguments.at[0] : TEXT("");
  write_all(stdout_get(), TEXT("one line\nhalf a line"));
  if (same(what, TEXT("exit"))) exit_with_code(7);
  if (same(what, TEXT("trap"))) __builtin_trap();
  if (same(what, TEXT("sleep"))) sleep_ms(60000);
  return same(what, TEXT("error"));
}
