// wasi:http/types@0.2 as far as answering a request with a short text needs it.
#pragma once
#include "wasi-io.h"

#define HTTP "wasi:http/types@0.2.12"

// variant method; only these two are told apart here.
enum { METHOD_GET = 0, METHOD_HEAD = 1 };
typedef struct {
  uint8_t kind;
  text other;
} http_method;

// option<string>
typedef struct {
  uint8_t is_some;
  text value;
} optional_text;

IMPORT(HTTP, "[method]incoming-request.method") void incoming_request_method(handle self, http_method *result);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void incoming_request_path(handle self, optional_text *result);
IMPORT(HTTP, "[resource-drop]incoming-request") void incoming_request_drop(handle self);
IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(handle self, const char *name, uint32_t name_length, const char *value, uint32_t value_length,
                   handle_result *result);
IMPORT(HTTP, "[constructor]outgoing-response") handle outgoing_response_new(handle headers);
IMPORT(HTTP, "[method]outgoing-response.set-status-code") int32_t outgoing_response_set_status(handle self, int32_t status);
IMPORT(HTTP, "[method]outgoing-response.body") void outgoing_response_body(handle self, handle_result *result);
IMPORT(HTTP, "[method]outgoing-body.write") void outgoing_body_write(handle self, handle_result *result);
// The result<_, error-code> is 40 bytes: the largest payload of error-code is 24, all aligned to 8.
IMPORT(HTTP, "[static]outgoing-body.finish")
void outgoing_body_finish(handle self, int32_t has_trailers, handle trailers, uint64_t result[5]);
// The last seven parameters are error-code laid flat; unused in an ok.
IMPORT(HTTP, "[static]response-outparam.set")
void response_outparam_set(handle self, int32_t is_error, int32_t value, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);

// Answers with status, content type and body. Consumes `out`.
static inline void respond(handle out, int32_t status, text content_type, text body_text) {
  handle_result result;
  const handle headers = fields_new();
  fields_append(headers, "content-type", 12, content_type.at, content_type.length, &result);
  const handle response = outgoing_response_new(headers);
  outgoing_response_set_status(response, status);
  outgoing_response_body(response, &result);
  const handle body = result.value;
  response_outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  outgoing_body_write(body, &result);
  const handle stream = result.value;
  write_all(stream, body_text);
  output_stream_drop(stream);
  uint64_t finished[5];
  outgoing_body_finish(body, 0, 0, finished);
}
