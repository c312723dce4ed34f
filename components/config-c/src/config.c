// GET /?key=K answers the value of one setting, GET / all of them as JSON.
#include "query.h"

// result<option<string>, error>
typedef struct {
  uint8_t is_error;
  uint8_t kind __attribute__((aligned(4)));  // ok: 1 when there is a value; error: upstream, io
  text value;
} config_value;

// result<list<tuple<string, string>>, error>
typedef struct {
  uint8_t is_error;
  union {
    struct {
      const struct {
        text key, value;
      } *at;
      uint32_t length;
    };
    struct {
      uint8_t kind;
      text message;
    };
  };
} config_values;

IMPORT("wasi:config/store@0.2.0-rc.1", "get") void config_get(const char *key, uint32_t length, config_value *result);
IMPORT("wasi:config/store@0.2.0-rc.1", "get-all") void config_get_all(config_values *result);

static char space[65536];

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const target asked = read_target(request);
  const text key = query_value(asked.query, TEXT("key"));
  if (key.length > 0) {
    config_value found;
    config_get(key.at, key.length, &found);
    if (found.is_error) return respond(out, 502, TEXT("text/plain"), found.value);
    if (found.kind == 0) return respond(out, 404, TEXT("text/plain"), TEXT("no such key\n"));
    return respond(out, 200, TEXT("text/plain; charset=utf-8"), found.value);
  }
  config_values all;
  config_get_all(&all);
  if (all.is_error) return respond(out, 502, TEXT("text/plain"), all.message);
  buffer body = {space, 0, sizeof space, false};
  put_char(&body, '{');
  for (uint32_t i = 0; i < all.length; i++) {
    if (i > 0) put_char(&body, ',');
    put_json(&body, all.at[i].key);
    put_char(&body, ':');
    put_json(&body, all.at[i].value);
  }
  put(&body, TEXT("}\n"));
  respond(out, 200, TEXT("application/json"), (text){body.at, body.length});
}
