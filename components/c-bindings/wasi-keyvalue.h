// wasi:keyvalue@0.2.0-draft: store, atomics, batch.
#pragma once
#include "canonical-abi.h"

#define KEYVALUE(interface) "wasi:keyvalue/" interface "@0.2.0-draft"

// variant error
enum { KEYVALUE_NO_SUCH_STORE = 0, KEYVALUE_ACCESS_DENIED = 1, KEYVALUE_OTHER = 2 };
typedef struct {
  uint8_t kind;
  text message;
} keyvalue_error;

// result<own<bucket>, error>
typedef struct {
  uint8_t is_error;
  union {
    handle bucket;
    keyvalue_error error;
  };
} keyvalue_opened;

// result<option<list<u8>>, error>
typedef struct {
  uint8_t is_error;
  union {
    struct {
      uint8_t is_some;
      text value;
    };
    keyvalue_error error;
  };
} keyvalue_value;

// result<_, error>
typedef struct {
  uint8_t is_error;
  keyvalue_error error;
} keyvalue_done;

// result<bool, error>
typedef struct {
  uint8_t is_error;
  union {
    uint8_t yes;
    keyvalue_error error;
  };
} keyvalue_yes;

// result<u64, error>
typedef struct {
  uint8_t is_error;
  union {
    uint64_t sum;
    keyvalue_error error;
  };
} keyvalue_sum;

typedef struct {
  const text *at;
  uint32_t length;
} keyvalue_keys;

// result<key-response, error>
typedef struct {
  uint8_t is_error;
  union {
    struct {
      keyvalue_keys keys;
      uint8_t has_cursor;
      uint64_t cursor;
    };
    keyvalue_error error;
  };
} keyvalue_page;

typedef struct {
  text key, value;
} keyvalue_pair;

// option<tuple<string, list<u8>>>
typedef struct {
  uint8_t is_some;
  keyvalue_pair pair;
} keyvalue_optional_pair;

// result<list<option<tuple<string, list<u8>>>>, error>
typedef struct {
  uint8_t is_error;
  union {
    struct {
      const keyvalue_optional_pair *at;
      uint32_t length;
    };
    keyvalue_error error;
  };
} keyvalue_pairs;

IMPORT(KEYVALUE("store"), "open") void keyvalue_open(const char *name, uint32_t length, keyvalue_opened *result);
IMPORT(KEYVALUE("store"), "[resource-drop]bucket") void keyvalue_bucket_drop(handle self);
IMPORT(KEYVALUE("store"), "[method]bucket.get")
void keyvalue_get(handle self, const char *key, uint32_t length, keyvalue_value *result);
IMPORT(KEYVALUE("store"), "[method]bucket.set")
void keyvalue_set(handle self, const char *key, uint32_t length, const char *value, uint32_t value_length, keyvalue_done *result);
IMPORT(KEYVALUE("store"), "[method]bucket.delete")
void keyvalue_delete(handle self, const char *key, uint32_t length, keyvalue_done *result);
IMPORT(KEYVALUE("store"), "[method]bucket.exists")
void keyvalue_exists(handle self, const char *key, uint32_t length, keyvalue_yes *result);
IMPORT(KEYVALUE("store"), "[method]bucket.list-keys")
void keyvalue_list_keys(handle self, int32_t has_cursor, int64_t cursor, keyvalue_page *result);
IMPORT(KEYVALUE("atomics"), "increment")
void keyvalue_increment(handle bucket, const char *key, uint32_t length, uint64_t delta, keyvalue_sum *result);
IMPORT(KEYVALUE("batch"), "get-many")
void keyvalue_get_many(handle bucket, const text *keys, uint32_t length, keyvalue_pairs *result);
IMPORT(KEYVALUE("batch"), "set-many")
void keyvalue_set_many(handle bucket, const keyvalue_pair *pairs, uint32_t length, keyvalue_done *result);
IMPORT(KEYVALUE("batch"), "delete-many")
void keyvalue_delete_many(handle bucket, const text *keys, uint32_t length, keyvalue_done *result);
