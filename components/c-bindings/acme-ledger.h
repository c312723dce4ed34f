// acme:ledger@0.1.0, for whoever exports it and whoever imports it.
#pragma once
#include "canonical-abi.h"

#define LEDGER "acme:ledger/accounts@0.1.0"

// variant error
enum { UNKNOWN_ACCOUNT = 0, INSUFFICIENT = 1 };
typedef struct {
  uint8_t kind;
  union {
    text account;
    uint64_t missing;
  };
} ledger_error;

// result<u64, error>
typedef struct {
  uint8_t is_error;
  union {
    uint64_t cents;
    ledger_error error;
  };
} ledger_balance;

// record quote
typedef struct {
  text payer, payee;
  uint64_t cents, fee;
  uint8_t has_memo;
  text memo;
} ledger_quote;

// result<quote, error>
typedef struct {
  uint8_t is_error;
  union {
    ledger_quote quote;
    ledger_error error;
  };
} ledger_quoted;
