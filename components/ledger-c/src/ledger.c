// Serves no HTTP: other components call its functions. The accounts are fixed; a real ledger would import wasi:keyvalue.
#include "acme-ledger.h"
#include "buffer.h"

static const struct {
  text name;
  uint64_t cents;
} accounts[] = {{TEXT("alice"), 10000}, {TEXT("bob"), 4200}};

static const uint64_t *find(text name) {
  for (uint32_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++)
    if (same(accounts[i].name, name)) return &accounts[i].cents;
  return 0;
}

static ledger_error unknown(text name) { return (ledger_error){UNKNOWN_ACCOUNT, {.account = name}}; }

EXPORT(LEDGER "#balance")
const ledger_balance *balance(const char *account, uint32_t length) {
  static ledger_balance answer;
  const uint64_t *cents = find((text){account, length});
  if (cents == 0) answer = (ledger_balance){1, {.error = unknown((text){account, length})}};
  else answer = (ledger_balance){0, {.cents = *cents}};
  arena_reset();
  return &answer;
}

EXPORT(LEDGER "#quote-payment")
const ledger_quoted *quote_payment(const char *payer, uint32_t payer_length, const char *payee, uint32_t payee_length,
                                   uint64_t cents, int32_t has_memo, const char *memo, uint32_t memo_length) {
  static ledger_quoted answer;
  const text from = {payer, payer_length}, to = {payee, payee_length};
  const uint64_t *held = find(from), fee = cents / 100;
  if (held == 0) answer = (ledger_quoted){1, {.error = unknown(from)}};
  else if (find(to) == 0) answer = (ledger_quoted){1, {.error = unknown(to)}};
  else if (*held < cents + fee) answer = (ledger_quoted){1, {.error = {INSUFFICIENT, {.missing = cents + fee - *held}}}};
  else answer = (ledger_quoted){0, {.quote = {from, to, cents, fee, (uint8_t)has_memo, {memo, memo_length}}}};
  arena_reset();
  return &answer;
}
