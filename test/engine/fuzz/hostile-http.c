// A guest that works against HTTP and against its own handles: each path is one attempt.
#include "buffer.h"
#include "wasi-http.h"

IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT("wasi:clocks/monotonic-clock@0.2.12", "subscribe-duration") handle subscribe_duration(uint64_t nanoseconds);
IMPORT(HTTP, "[method]incoming-request.consume") void incoming_request_consume(handle self, handle_result *result);
IMPORT(HTTP, "[method]incoming-request.headers") handle incoming_request_headers(handle self);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_body_stream(handle self, handle_result *result);
IMPORT(HTTP, "[resource-drop]incoming-body") void incoming_body_drop(handle self);
IMPORT(HTTP, "[static]incoming-body.finish") handle incoming_body_finish(handle self);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(handle self);
IMPORT(HTTP, "[resource-drop]outgoing-response") void outgoing_response_drop(handle self);
IMPORT(HTTP, "[resource-drop]outgoing-body") void outgoing_body_drop(handle self);
IMPORT(HTTP, "[resource-drop]response-outparam") void response_outparam_drop(handle self);

typedef struct {
  text name, value;
} field;
typedef struct {
  field *at;
  uint32_t length;
} fields_list;
IMPORT(HTTP, "[method]fields.entries") void fields_entries(handle self, fields_list *result);

static uint32_t accepted;

static void append(handle headers, text name, text value) {
  handle_result result;
  fields_append(headers, name.at, name.length, value.at, value.length, &result);
  if (!result.is_error) accepted++;
}

static handle begin(handle out, handle headers, handle *body) {
  handle_result result;
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

static void answer(handle out, handle headers, text body_text) {
  handle body;
  const handle stream = begin(out, headers, &body);
  write_all(stream, body_text);
  finish(stream, body);
}

// Every field that it may not set, or that holds more than one: then an answer with what was accepted of them.
static void smuggle(handle out) {
  const handle headers = fields_new();
  accepted = 0;
  append(headers, TEXT("x-a"), TEXT("b\r\nx-injected: 1"));
  append(headers, TEXT("x-a"), TEXT("b\nx-injected: 1"));
  append(headers, TEXT("x-a"), TEXT("b\rx-injected: 1"));
  append(headers, TEXT("x-a"), TEXT("b\0x-injected: 1"));
  append(headers, TEXT("x-a"), TEXT("b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
  append(headers, TEXT("x-b\r\nx-injected"), TEXT("1"));
  append(headers, TEXT("x-b: 1\r\nx-injected"), TEXT("1"));
  append(headers, TEXT("x injected"), TEXT("1"));
  append(headers, TEXT("x-injected:"), TEXT("1"));
  append(headers, TEXT("content-length "), TEXT("1"));
  append(headers, TEXT(" transfer-encoding"), TEXT("chunked"));
  append(headers, TEXT(""), TEXT("1"));
  append(headers, TEXT("transfer-encoding"), TEXT("chunked"));
  append(headers, TEXT("Transfer-Encoding"), TEXT("identity"));
  append(headers, TEXT("connection"), TEXT("close"));
  append(headers, TEXT("upgrade"), TEXT("websocket"));
  append(headers, TEXT("keep-alive"), TEXT("timeout=1"));
  append(headers, TEXT("host"), TEXT("elsewhere"));
  char space[32];
  buffer said = {space, 0, sizeof space, false};
  put_number(&said, accepted);
  answer(out, headers, (text){space, said.length});
}

static void lengths(handle out, text first, text second) {
  const handle headers = fields_new();
  append(headers, TEXT("content-length"), first);
  if (second.length > 0) append(headers, TEXT("Content-Length"), second);
  answer(out, headers, TEXT("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"));
}

// What arrived, a line for each: the host has taken out what belongs to the connection.
// An answer whose trailers say what frames and routes messages; its body is how many of these it was let to set.
static void smuggle_trailers(handle out) {
  const handle trailers = fields_new();
  char space[32];
  buffer said = {space, 0, sizeof space, false};
  handle body;
  uint64_t finished[5];
  accepted = 0;
  append(trailers, TEXT("x-a"), TEXT("b\r\nx-injected: 1"));
  append(trailers, TEXT("x-b\r\nx-injected"), TEXT("1"));
  append(trailers, TEXT("transfer-encoding"), TEXT("chunked"));
  append(trailers, TEXT("connection"), TEXT("upgrade"));
  append(trailers, TEXT("host"), TEXT("elsewhere"));
  put_number(&said, accepted);
  append(trailers, TEXT("Content-Length"), TEXT("4"));
  append(trailers, TEXT("x-sum"), TEXT("1"));
  const handle stream = begin(out, fields_new(), &body);
  write_all(stream, (text){space, said.length});
  output_stream_drop(stream);
  outgoing_body_finish(body, 1, trailers, finished);
}

// Fields with names that every object of the host's language has.
static void odd_names(handle out) {
  const handle headers = fields_new();
  append(headers, TEXT("__proto__"), TEXT("a"));
  append(headers, TEXT("constructor"), TEXT("b"));
  append(headers, TEXT("hasOwnProperty"), TEXT("c"));
  answer(out, headers, TEXT("odd"));
}

static void show(handle request, handle out) {
  static char space[16384];
  buffer said = {space, 0, sizeof space, false};
  fields_list list;
  const handle headers = incoming_request_headers(request);
  fields_entries(headers, &list);
  for (uint32_t i = 0; i < list.length; i++) {
    put(&said, list.at[i].name);
    put(&said, TEXT("="));
    put_json(&said, list.at[i].value);
    put_char(&said, '\n');
  }
  fields_drop(headers);
  respond(out, 200, TEXT("text/plain"), (text){space, said.length});
}

static void open_body(handle request, handle *body, handle *stream) {
  handle_result result;
  incoming_request_consume(request, &result);
  *body = result.value;
  incoming_body_stream(*body, &result);
  *stream = result.value;
}

static void sleep_ms(uint64_t ms) {
  const handle pollable = subscribe_duration(ms * 1000000u);
  pollable_block(pollable);
  pollable_drop(pollable);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  optional_text found;
  handle_result result;
  handle body, stream;
  incoming_request_path(request, &found);
  const text path = found.is_some ? found.value : TEXT("");
  if (same(path, TEXT("/smuggle"))) {
    smuggle(out);
  } else if (same(path, TEXT("/two-lengths"))) {
    lengths(out, TEXT("8"), TEXT("46"));
  } else if (same(path, TEXT("/list-of-lengths"))) {
    lengths(out, TEXT("8, 46"), TEXT(""));
  } else if (same(path, TEXT("/signed-length"))) {
    lengths(out, TEXT("+8"), TEXT(""));
  } else if (same(path, TEXT("/hex-length"))) {
    lengths(out, TEXT("0x8"), TEXT(""));
  } else if (same(path, TEXT("/short-length"))) {
    lengths(out, TEXT("8"), TEXT(""));
  } else if (same(path, TEXT("/smuggle-trailers"))) {
    smuggle_trailers(out);
  } else if (same(path, TEXT("/odd-names"))) {
    odd_names(out);
  } else if (same(path, TEXT("/show"))) {
    show(request, out);
  } else if (same(path, TEXT("/drop-twice"))) {
    const handle headers = fields_new();
    fields_drop(headers);
    fields_drop(headers);
  } else if (same(path, TEXT("/drop-request-twice"))) {
    incoming_request_drop(request);
    incoming_request_drop(request);
  } else if (same(path, TEXT("/use-after-drop"))) {
    incoming_request_drop(request);
    incoming_request_path(request, &found);
  } else if (same(path, TEXT("/use-after-move"))) {
    const handle headers = fields_new();
    outgoing_response_new(headers);
    append(headers, TEXT("x-a"), TEXT("late"));
  } else if (same(path, TEXT("/parent-first"))) {
    const handle outgoing = begin(out, fields_new(), &body);
    outgoing_body_drop(body);
    output_stream_drop(outgoing);
  } else if (same(path, TEXT("/incoming-parent-first"))) {
    open_body(request, &body, &stream);
    incoming_body_drop(body);
    answer(out, fields_new(), TEXT("dropped"));
  } else if (same(path, TEXT("/finish-incoming-with-stream"))) {
    open_body(request, &body, &stream);
    incoming_body_finish(body);
    answer(out, fields_new(), TEXT("finished"));
  } else if (same(path, TEXT("/finish-with-stream"))) {
    uint64_t finished[5];
    begin(out, fields_new(), &body);
    outgoing_body_finish(body, 0, 0, finished);
  } else if (same(path, TEXT("/finish-twice"))) {
    uint64_t finished[5];
    finish(begin(out, fields_new(), &body), body);
    outgoing_body_finish(body, 0, 0, finished);
  } else if (same(path, TEXT("/wrong-handle"))) {
    incoming_request_drop(123456);
  } else if (same(path, TEXT("/negative-handle"))) {
    incoming_request_drop(-1);
  } else if (same(path, TEXT("/handle-zero"))) {
    incoming_request_drop(0);
  } else if (same(path, TEXT("/wrong-type"))) {
    outgoing_response_new(request);
  } else if (same(path, TEXT("/beyond-memory"))) {
    const handle headers = fields_new();
    fields_append(headers, (const char *)0xfffffff0, 0xffffffff, "x", 1, &result);
  } else if (same(path, TEXT("/result-beyond-memory"))) {
    incoming_request_path(request, (optional_text *)0xfffffff0);
  } else if (same(path, TEXT("/result-misaligned"))) {
    incoming_request_path(request, (optional_text *)3);
  } else if (same(path, TEXT("/not-utf8"))) {
    append(fields_new(), TEXT("x-\xff\xfe"), TEXT("1"));
  } else if (same(path, TEXT("/bad-method-case"))) {
    response_outparam_set(out, 7, 0, 0, 0, 0, 0, 0, 0);
  } else if (same(path, TEXT("/bad-error-case"))) {
    response_outparam_set(out, 1, 99, 0, 0, 0, 0, 0, 0);
  } else if (same(path, TEXT("/bad-status"))) {
    const handle response = outgoing_response_new(fields_new());
    outgoing_response_set_status(response, 70000);
    response_outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  } else if (same(path, TEXT("/answer-twice"))) {
    respond(out, 200, TEXT("text/plain"), TEXT("once"));
    respond(out, 200, TEXT("text/plain"), TEXT("twice"));
  } else if (same(path, TEXT("/drop-outparam"))) {
    response_outparam_drop(out);
  } else if (same(path, TEXT("/keep-bodies-open"))) {
    open_body(request, &body, &stream);
    respond(out, 200, TEXT("text/plain"), TEXT("kept"));
    return;
  } else if (same(path, TEXT("/keep-response-open"))) {
    write_all(begin(out, fields_new(), &body), TEXT("kept"));
    return;
  } else if (same(path, TEXT("/never-reads"))) {
    respond(out, 200, TEXT("text/plain"), TEXT("unread"));
  } else if (same(path, TEXT("/answers-then-stays"))) {
    respond(out, 200, TEXT("text/plain"), TEXT("answered"));
    sleep_ms(60000);
  } else if (same(path, TEXT("/never-answers"))) {
    sleep_ms(60000);
  } else {
    respond(out, 200, TEXT("text/plain"), path);
  }
  incoming_request_drop(request);
}
