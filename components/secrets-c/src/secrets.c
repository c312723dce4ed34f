// GET /?key=K says what kind of secret there is and how long it is; GET /reveal?key=K shows it, which only an example does.
#include "query.h"

enum { SECRET_UPSTREAM = 0, SECRET_IO = 1, SECRET_NOT_FOUND = 2 };

// result<own<secret>, secrets-error>
typedef struct {
  uint8_t is_error;
  union {
    handle secret;
    struct {
      uint8_t kind;
      text message;
    };
  };
} secret_result;

// variant secret-value
typedef struct {
  uint8_t is_bytes;
  text value;
} secret_value;

IMPORT("wasmcloud:secrets/store@1.0.0", "get") void secret_get(const char *key, uint32_t length, secret_result *result);
IMPORT("wasmcloud:secrets/store@1.0.0", "[resource-drop]secret") void secret_drop(handle self);
IMPORT("wasmcloud:secrets/reveal@1.0.0", "reveal") void secret_reveal(handle secret, secret_value *result);

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  static char space[256];
  arena_reset();
  const text plain = TEXT("text/plain; charset=utf-8");
  const target asked = read_target(request);
  const text key = query_value(asked.query, TEXT("key"));
  secret_result found;
  secret_get(key.at, key.length, &found);
  if (found.is_error && found.kind == SECRET_NOT_FOUND) return respond(out, 404, plain, TEXT("no such secret\n"));
  if (found.is_error) return respond(out, 502, plain, found.message);
  secret_value shown;
  secret_reveal(found.secret, &shown);
  secret_drop(found.secret);
  if (same(asked.path, TEXT("/reveal"))) return respond(out, 200, plain, shown.value);
  buffer body = {space, 0, sizeof space, false};
  put(&body, shown.is_bytes ? TEXT("bytes ") : TEXT("text "));
  put_number(&body, shown.value.length);
  respond(out, 200, plain, (text){body.at, body.length});
}
