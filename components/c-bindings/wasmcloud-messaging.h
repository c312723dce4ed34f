// wasmcloud:messaging@0.2.0: consumer, and how the handler is exported.
#pragma once
#include "wasi-http.h"

// record broker-message
typedef struct {
  text subject, body;
  optional_text reply_to;
} broker_message;

// result<_, string>
typedef struct {
  uint8_t is_error;
  text message;
} messaging_done;

// result<broker-message, string>
typedef struct {
  uint8_t is_error;
  union {
    broker_message answer;
    text message;
  };
} messaging_answer;

IMPORT("wasmcloud:messaging/consumer@0.2.0", "request")
void messaging_request(const char *subject, uint32_t subject_length, const char *body, uint32_t body_length, uint32_t timeout_ms,
                       messaging_answer *result);
IMPORT("wasmcloud:messaging/consumer@0.2.0", "publish")
void messaging_publish(const char *subject, uint32_t subject_length, const char *body, uint32_t body_length, int32_t has_reply_to,
                       const char *reply_to, uint32_t reply_to_length, messaging_done *result);
