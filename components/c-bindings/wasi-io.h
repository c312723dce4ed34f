// wasi:io/streams@0.2, the writing half.
#pragma once
#include "canonical-abi.h"

// result<_, stream-error>
typedef struct {
  uint8_t is_error;
  uint8_t closed __attribute__((aligned(4)));  // else last-operation-failed with `error`
  handle error;
} stream_result;

// result<u64, stream-error>
typedef struct {
  uint8_t is_error;
  union {
    uint64_t permitted;
    struct {
      uint8_t closed;
      handle error;
    };
  };
} check_write_result;

IMPORT("wasi:io/streams@0.2.12", "[method]output-stream.check-write")
void output_stream_check_write(handle self, check_write_result *result);
IMPORT("wasi:io/streams@0.2.12", "[method]output-stream.write")
void output_stream_write(handle self, const char *at, uint32_t length, stream_result *result);
IMPORT("wasi:io/streams@0.2.12", "[method]output-stream.blocking-write-and-flush")
void output_stream_blocking_write_and_flush(handle self, const char *at, uint32_t length, stream_result *result);
IMPORT("wasi:io/streams@0.2.12", "[resource-drop]output-stream")
void output_stream_drop(handle self);
IMPORT("wasi:io/error@0.2.12", "[resource-drop]error")
void io_error_drop(handle self);

// Writes all; without waiting when the stream takes it at once. False when the stream has failed or is closed.
static inline bool write_all(handle stream, text value) {
  check_write_result check;
  stream_result written;
  output_stream_check_write(stream, &check);
  if (check.is_error) {
    if (!check.closed) io_error_drop(check.error);
    return false;
  }
  if (check.permitted >= value.length) {
    output_stream_write(stream, value.at, value.length, &written);
  } else {
    for (uint32_t at = 0; at < value.length; at += 4096) {
      const uint32_t rest = value.length - at;
      output_stream_blocking_write_and_flush(stream, value.at + at, rest < 4096 ? rest : 4096, &written);
      if (written.is_error) break;
    }
  }
  if (written.is_error && !written.closed) io_error_drop(written.error);
  return !written.is_error;
}
