// Answers over HTTP what another component says: /balance?account=A and /quote?payer=A&payee=B&cents=N&memo=M. Where that one runs, here or on
// another host, is for the manifest to say.
#include "acme-ledger.h"
#include "query.h"

IMPORT(LEDGER, "balance") void balance(const char *account, uint32_t length, ledger_balance *answer);
IMPORT(LEDGER, "quote-payment")
void quote_payment(const char *payer, uint32_t payer_length, const char *payee, uint32_t payee_length, uint64_t cents,
                   int32_t has_memo, const char *memo, uint32_t memo_length, ledger_quoted *answer);

static const text json = TEXT("application/json");
static char space[4096];

static void refuse(handle out, buffer *body, const ledger_error *error) {
  if (error->kind == UNKNOWN_ACCOUNT) {
    put(body, TEXT("{\"unknown-account\":"));
    put_json(body, error->account);
  } else {
    put(body, TEXT("{\"insufficient\":"));
    put_number(body, error->missing);
  }
  put(body, TEXT("}\n"));
  respond(out, error->kind == UNKNOWN_ACCOUNT ? 404 : 409, json, (text){body->at, body->length});
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const target asked = read_target(request);
  buffer body = {space, 0, sizeof space, false};
  if (same(asked.path, TEXT("/balance"))) {
    const text account = query_value(asked.query, TEXT("account"));
    ledger_balance answer;
    balance(account.at, account.length, &answer);
    if (answer.is_error) return refuse(out, &body, &answer.error);
    put(&body, TEXT("{\"cents\":"));
    put_number(&body, answer.cents);
    put(&body, TEXT("}\n"));
    return respond(out, 200, json, (text){body.at, body.length});
  }
  if (same(asked.path, TEXT("/quote"))) {
    const text payer = query_value(asked.query, TEXT("payer")), payee = query_value(asked.query, TEXT("payee"));
    const text memo = query_value(asked.query, TEXT("memo"));
    ledger_quoted answer;
    quote_payment(payer.at, payer.length, payee.at, payee.length, query_number(asked.query, TEXT("cents")), memo.length > 0,
                  memo.at, memo.length, &answer);
    if (answer.is_error) return refuse(out, &body, &answer.error);
    put(&body, TEXT("{\"payer\":"));
    put_json(&body, answer.quote.payer);
    put(&body, TEXT(",\"payee\":"));
    put_json(&body, answer.quote.payee);
    put(&body, TEXT(",\"cents\":"));
    put_number(&body, answer.quote.cents);
    put(&body, TEXT(",\"fee\":"));
    put_number(&body, answer.quote.fee);
    if (answer.quote.has_memo) {
      put(&body, TEXT(",\"memo\":"));
      put_json(&body, answer.quote.memo);
    }
    put(&body, TEXT("}\n"));
    return respond(out, 200, json, (text){body.at, body.length});
  }
  respond(out, 404, TEXT("text/plain; charset=utf-8"), TEXT("there are /balance and /quote\n"));
}
