// wasi:cli@0.2: environment, arguments, standard output, exit.
#pragma once
#include "wasi-io.h"

typedef struct {
  text name, value;
} variable;

typedef struct {
  const variable *at;
  uint32_t length;
} variables;

typedef struct {
  const text *at;
  uint32_t length;
} texts;

IMPORT("wasi:cli/environment@0.2.12", "get-environment") void environment_get(variables *result);
IMPORT("wasi:cli/environment@0.2.12", "get-arguments") void arguments_get(texts *result);
IMPORT("wasi:cli/stdout@0.2.12", "get-stdout") handle stdout_get(void);
IMPORT("wasi:cli/exit@0.2.12", "exit-with-code") void exit_with_code(int32_t code);
