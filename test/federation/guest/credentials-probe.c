// Asks for the credentials of the bindings named by its arguments, and prints what they are without showing a secret.
#include "buffer.h"
#include "wasi-cli.h"

typedef struct {
  text name, value;
} field;

// result<credentials, error>
typedef struct {
  uint8_t is_error;
  uint8_t kind __attribute__((aligned(8)));  // ok: aws, bearer, secret; error: unknown-binding, no-identity, refused, unavailable
  union {
    struct {
      text access_key_id, secret_access_key, session_token, region;
    };
    text value;
    struct {
      const field *at;
      uint32_t length;
    } fields;
  };
  uint64_t expires_at __attribute__((aligned(8)));
} credentials_result;

IMPORT("herald:credentials/store@0.1.0", "get")
void credentials_get(const char *binding, uint32_t length, credentials_result *result);

static char space[16384];

static void put_length(buffer *out, text name, text value) {
  put(out, name);
  put_number(out, value.length);
}

static void probe(buffer *out, text binding) {
  credentials_result result;
  credentials_get(binding.at, binding.length, &result);
  put(out, binding);
  if (result.is_error) {
    put(out, result.kind == 0 ? TEXT(": unknown-binding\n") : result.kind == 1 ? TEXT(": no-identity\n") : TEXT(": "));
    if (result.kind < 2) return;
    put(out, result.kind == 2 ? TEXT("refused ") : TEXT("unavailable "));
    put(out, result.value);
  } else if (result.kind == 0) {
    put(out, TEXT(": aws "));
    put(out, result.access_key_id);
    put_char(out, ' ');
    put(out, result.region);
    put_length(out, TEXT(" secret "), result.secret_access_key);
    put_length(out, TEXT(" session "), result.session_token);
  } else if (result.kind == 1) {
    put_length(out, TEXT(": bearer "), result.value);
  } else {
    put(out, TEXT(": secret"));
    for (uint32_t i = 0; i < result.fields.length; i++) {
      put_char(out, ' ');
      put(out, result.fields.at[i].name);
    }
  }
  if (!result.is_error) {
    put(out, TEXT(" until "));
    put_number(out, result.expires_at);
  }
  put_char(out, '\n');
}

EXPORT("wasi:cli/run@0.2.12#run")
int32_t run(void) {
  arena_reset();
  buffer out = {space, 0, sizeof space, false};
  texts arguments;
  arguments_get(&arguments);
  for (uint32_t i = 0; i < arguments.length; i++) probe(&out, arguments.at[i]);
  const handle stdout = stdout_get();
  const bool written = write_all(stdout, (text){out.at, out.length});
  output_stream_drop(stdout);
  return !written;
}
