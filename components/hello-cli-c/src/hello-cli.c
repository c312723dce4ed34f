#include "buffer.h"
#include "wasi-cli.h"

static char space[16384];

// Prints each argument and each variable, a line each, then ends with the code that HELLO_EXIT_CODE says (0 to 255): 0 or nothing
// returns ok, 1 returns err, any other leaves by wasi:cli/exit.
EXPORT("wasi:cli/run@0.2.12#run")
int32_t run(void) {
  arena_reset();
  buffer out = {space, 0, sizeof space, false};
  uint32_t code = 0;

  texts arguments;
  arguments_get(&arguments);
  for (uint32_t i = 0; i < arguments.length; i++) {
    put(&out, TEXT("argument "));
    put_number(&out, i);
    put(&out, TEXT(": "));
    put(&out, arguments.at[i]);
    put_char(&out, '\n');
  }

  variables environment;
  environment_get(&environment);
  for (uint32_t i = 0; i < environment.length; i++) {
    const variable entry = environment.at[i];
    put(&out, entry.name);
    put_char(&out, '=');
    put(&out, entry.value);
    put_char(&out, '\n');
    if (same(entry.name, TEXT("HELLO_EXIT_CODE"))) {
      for (uint32_t at = 0; at < entry.value.length && code < 256; at++) code = code * 10 + (uint8_t)(entry.value.at[at] - '0');
    }
  }

  const handle stdout = stdout_get();
  const bool written = write_all(stdout, (text){out.at, out.length});
  output_stream_drop(stdout);
  if (code > 1) exit_with_code(code < 256 ? code : 255);
  return code == 1 || !written;
}
