/* Tables of vectors: reading them, and comparing what was computed with what they expect.

   Every function that finds a difference or a malformed table prints one line and ends the program,
   so that nothing is skipped. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { TEXT, INTEGER, BOOLEAN, LIST, OBJECT } kind;

/* One value of JSON; numbers are integers, and not negative. */
typedef struct json {
    kind kind;
    char *text;        /* TEXT */
    uint64_t integer;  /* INTEGER, BOOLEAN */
    size_t count;      /* LIST, OBJECT */
    struct json *items;
    char **keys;       /* OBJECT */
    bool read;         /* whether a check asked for it */
} json;

typedef struct {
    const char *operation; /* the name up to its colon */
    json *input;
    json *expect;
} row;

typedef struct {
    float *at;
    size_t count;
} floats;

typedef struct {
    double *at;
    size_t count;
} doubles;

typedef struct {
    uint32_t *at;
    size_t count;
} words;

typedef struct {
    uint8_t *at;
    size_t count;
} bytes;

typedef struct {
    uint64_t *at;
    size_t count;
} integers;

_Noreturn void fail(const char *format, ...);
void *allocate(size_t count, size_t size);

/* Calls `check` on every row of a file, and refuses rows with fields that it did not read; gives
   the number of rows. */
size_t each_row(const char *path, void (*check)(const row *));

/* Fields of an object. */
json *field(json *object, const char *key);
bool has_field(const json *object, const char *key);
uint64_t integer_of(json *object, const char *key);
bool boolean_of(json *object, const char *key);
const char *text_of(json *object, const char *key);
floats floats_of(json *object, const char *key);
floats floats_in(json *value);
float float_of(json *object, const char *key);
doubles doubles_of(json *object, const char *key);
words words_of(json *object, const char *key);
bytes bytes_of(json *object, const char *key);
integers integers_of(json *object, const char *key);
integers integers_in(json *list);

floats new_floats(size_t count);
floats copy_of(floats x);

/* Fails unless field `key` of what the row expects holds exactly these numbers. */
void expect_floats(const row *r, const char *key, const float *x, size_t count);
void expect_doubles(const row *r, const char *key, const double *x, size_t count);
void expect_words(const row *r, const char *key, const uint32_t *x, size_t count);
void expect_halves(const row *r, const char *key, const uint16_t *x, size_t count);
void expect_bytes(const row *r, const char *key, const uint8_t *x, size_t count);
void expect_integer(const row *r, const char *key, uint64_t x);
void expect_boolean(const row *r, const char *key, bool x);
void expect_text(const row *r, const char *key, const char *x);

/* Bit patterns. */
uint32_t bits_of(float x);
float float_from(uint32_t bits);
uint64_t wide_bits_of(double x);
double double_from(uint64_t bits);
#endif
