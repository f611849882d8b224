/* The reader of the tables, and the comparisons. */
#include "table.h"

#include "blake3.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the program is, for messages. */
static const char *current_file = "";
static const char *current_row = "";

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: %s: ", current_file, current_row);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

void *allocate(size_t count, size_t size)
{
    /* Nothing is given back: the program is short. */
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("memory for %zu values of %zu bytes is missing", count, size);
    return memory;
}

uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

float float_from(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint64_t wide_bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

double double_from(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- JSON ---- */

typedef struct {
    const char *at;
} reader;

static void skip_space(reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static void take(reader *r, char c)
{
    skip_space(r);
    if (*r->at != c)
        fail("'%c' is missing before \"%.20s\"", c, r->at);
    r->at++;
}

static char *read_text(reader *r)
{
    take(r, '"');
    size_t length = strcspn(r->at, "\n");
    char *text = allocate(length + 1, 1), *end = text;
    for (; *r->at != '"'; r->at++) {
        if (*r->at == 0 || *r->at == '\n')
            fail("text has no end");
        if (*r->at == '\\') {
            r->at++;
            if (*r->at != '"' && *r->at != '\\')
                fail("\\%c is not read in a text", *r->at);
        }
        *end++ = *r->at;
    }
    r->at++;
    return text;
}

static json read_value(reader *r);

/* Items up to the closing bracket; `keys` for an object. */
static json read_items(reader *r, kind kind)
{
    json value = {.kind = kind};
    char close = kind == LIST ? ']' : '}';
    r->at++;
    skip_space(r);
    while (*r->at != close) {
        if (value.count > 0)
            take(r, ',');
        size_t count = value.count + 1;
        value.items = realloc(value.items, count * sizeof *value.items);
        value.keys = realloc(value.keys, count * sizeof *value.keys);
        if (!value.items || !value.keys)
            fail("memory for %zu items is missing", count);
        if (kind == OBJECT) {
            skip_space(r);
            value.keys[value.count] = read_text(r);
            take(r, ':');
        }
        value.items[value.count] = read_value(r);
        value.count = count;
        skip_space(r);
    }
    r->at++;
    return value;
}

static json read_value(reader *r)
{
    skip_space(r);
    if (*r->at == '[')
        return read_items(r, LIST);
    if (*r->at == '{')
        return read_items(r, OBJECT);
    if (*r->at == '"')
        return (json){.kind = TEXT, .text = read_text(r)};
    for (uint64_t truth = 0; truth < 2; truth++) {
        const char *word = truth ? "true" : "false";
        if (strncmp(r->at, word, strlen(word)) == 0) {
            r->at += strlen(word);
            return (json){.kind = BOOLEAN, .integer = truth};
        }
    }
    if (!isdigit((unsigned char)*r->at))
        fail("\"%.20s\" is not a value", r->at);
    char *end;
    uint64_t integer = strtoull(r->at, &end, 10);
    r->at = end;
    if (*end == '.' || *end == 'e' || *end == 'E')
        fail("numbers are integers or hexadecimal text");
    return (json){.kind = INTEGER, .integer = integer};
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("the file cannot be opened");
    size_t length = 0, capacity = 1 << 16;
    char *text = allocate(capacity + 1, 1);
    for (size_t count; (count = fread(text + length, 1, capacity - length, file)) > 0;) {
        length += count;
        if (length == capacity) {
            text = realloc(text, 2 * capacity + 1);
            if (!text)
                fail("memory for %zu bytes is missing", 2 * capacity);
            capacity *= 2;
        }
    }
    fclose(file);
    text[length] = 0;
    return text;
}

/* ---- rows and fields ---- */

static void refuse_unread(const json *value, const char *name)
{
    if (!value->read)
        fail("%s is not read", name);
    for (size_t i = 0; i < value->count; i++)
        refuse_unread(&value->items[i], value->kind == OBJECT ? value->keys[i] : name);
}

size_t each_row(const char *path, void (*check)(const row *))
{
    current_file = path;
    reader r = {read_file(path)};
    json table = read_value(&r);
    skip_space(&r);
    if (table.kind != LIST || *r.at != 0)
        fail("a table is one list");
    for (size_t i = 0; i < table.count; i++) {
        json *item = &table.items[i];
        current_row = text_of(item, "name");
        char *operation = allocate(strlen(current_row) + 1, 1);
        memcpy(operation, current_row, strcspn(current_row, ":"));
        row r = {operation, field(item, "input"), field(item, "expect")};
        item->read = true;
        check(&r);
        refuse_unread(item, "row");
    }
    return table.count;
}

static json *find(const json *object, const char *key)
{
    for (size_t i = 0; object->kind == OBJECT && i < object->count; i++)
        if (strcmp(object->keys[i], key) == 0)
            return &object->items[i];
    return NULL;
}

bool has_field(const json *object, const char *key) { return find(object, key) != NULL; }

json *field(json *object, const char *key)
{
    json *value = find(object, key);
    if (!value)
        fail("%s is missing", key);
    value->read = true;
    return value;
}

static json *field_of_kind(json *object, const char *key, kind kind)
{
    json *value = field(object, key);
    if (value->kind != kind)
        fail("%s is of another kind", key);
    return value;
}

uint64_t integer_of(json *object, const char *key)
{
    return field_of_kind(object, key, INTEGER)->integer;
}

bool boolean_of(json *object, const char *key)
{
    return field_of_kind(object, key, BOOLEAN)->integer == 1;
}

const char *text_of(json *object, const char *key)
{
    return field_of_kind(object, key, TEXT)->text;
}

/* The words of the BLAKE3 stream over a text. */
static words stream_words(const char *text, size_t count)
{
    words w = {allocate(count, 4), count};
    uint8_t *stream = allocate(count, 4);
    blake3(NULL, (const uint8_t *)text, strlen(text), stream, 4 * count);
    for (size_t i = 0; i < count; i++)
        w.at[i] = (uint32_t)stream[4 * i] | (uint32_t)stream[4 * i + 1] << 8 |
                  (uint32_t)stream[4 * i + 2] << 16 | (uint32_t)stream[4 * i + 3] << 24;
    return w;
}

/* Numbers of `digits` hexadecimal digits, or `nan`, with a space between them. */
static size_t written(const char *key, const char *text, size_t digits, uint64_t **numbers)
{
    size_t count = 0;
    *numbers = allocate(strlen(text) / 4 + 1, sizeof **numbers);
    for (const char *at = text; *at; count++) {
        size_t length = strcspn(at, " ");
        char *end;
        (*numbers)[count] = strtoull(at, &end, 16);
        if (length == 3 && strncmp(at, "nan", 3) == 0)
            (*numbers)[count] = digits == 8 ? 0x7fc00000 : 0x7ff8ull << 48;
        else if (length != digits || end != at + length)
            fail("%s[%zu] is not a number of %zu digits", key, count, digits);
        at += length + (at[length] == ' ');
    }
    return count;
}

static words words_in(json *value, const char *key)
{
    value->read = true;
    if (value->kind == OBJECT)
        return stream_words(text_of(value, "words"), integer_of(value, "count"));
    if (value->kind != TEXT)
        fail("%s is of another kind", key);
    uint64_t *numbers;
    size_t count = written(key, value->text, 8, &numbers);
    words w = {allocate(count, 4), count};
    for (size_t i = 0; i < count; i++)
        w.at[i] = (uint32_t)numbers[i];
    return w;
}

words words_of(json *object, const char *key) { return words_in(field(object, key), key); }

/* The upper 24 bits of a word as a signed integer, times a power of two that the lower 3 choose. */
static float noise_of(uint32_t word)
{
    int64_t mantissa = word >> 8;
    if (mantissa >= 1 << 23)
        mantissa -= 1 << 24;
    return ldexpf((float)mantissa, -20 - (int)(word & 7));
}

floats floats_in(json *value)
{
    value->read = true;
    bool noise = has_field(value, "noise");
    words w = noise ? stream_words(text_of(value, "noise"), integer_of(value, "count"))
                    : words_in(value, "a number");
    floats x = new_floats(w.count);
    float scale = noise ? float_of(value, "scale") : 1.0f;
    for (size_t i = 0; i < w.count; i++)
        x.at[i] = noise ? noise_of(w.at[i]) * scale : float_from(w.at[i]);
    return x;
}

floats floats_of(json *object, const char *key) { return floats_in(field(object, key)); }

float float_of(json *object, const char *key)
{
    floats x = floats_of(object, key);
    if (x.count != 1)
        fail("%s has %zu numbers, expected 1", key, x.count);
    return x.at[0];
}

doubles doubles_of(json *object, const char *key)
{
    uint64_t *numbers;
    size_t count = written(key, text_of(object, key), 16, &numbers);
    doubles x = {allocate(count, sizeof(double)), count};
    for (size_t i = 0; i < count; i++)
        x.at[i] = double_from(numbers[i]);
    return x;
}

bytes bytes_of(json *object, const char *key)
{
    const char *text = text_of(object, key);
    bytes b = {allocate(strlen(text) / 2, 1), strlen(text) / 2};
    for (size_t i = 0; i < b.count; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0}, *end;
        b.at[i] = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2)
            fail("%s is not hexadecimal", key);
    }
    return b;
}

integers integers_in(json *list)
{
    integers numbers = {allocate(list->count, sizeof(uint64_t)), list->count};
    list->read = true;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].kind != INTEGER)
            fail("a list has something other than an integer");
        list->items[i].read = true;
        numbers.at[i] = list->items[i].integer;
    }
    return numbers;
}

integers integers_of(json *object, const char *key)
{
    return integers_in(field_of_kind(object, key, LIST));
}

floats new_floats(size_t count) { return (floats){allocate(count, sizeof(float)), count}; }

floats copy_of(floats x)
{
    floats y = new_floats(x.count);
    memcpy(y.at, x.at, x.count * sizeof(float));
    return y;
}

/* ---- comparisons ---- */

/* One computed number: its bits, the digits that write them, and whether it is a NaN. */
typedef struct {
    uint64_t bits;
    int digits;
    bool is_nan;
} number;

static void digits_of(number n, char out[17])
{
    if (n.is_nan)
        strcpy(out, "nan");
    else
        sprintf(out, "%0*" PRIx64, n.digits, n.bits);
}

static void expect_written(const char *key, const char *text, const number *x, size_t count)
{
    size_t expected = 0;
    for (const char *at = text; *at; expected++) {
        char word[17] = "", got[17] = "";
        size_t length = strcspn(at, " ");
        if (length > 16)
            fail("%s[%zu] is not a number", key, expected);
        memcpy(word, at, length);
        at += length + (at[length] == ' ');
        if (expected < count)
            digits_of(x[expected], got);
        if (expected < count && strcmp(word, got) != 0)
            fail("%s[%zu] is %s, expected %s", key, expected, got, word);
    }
    if (expected != count)
        fail("%s has %zu numbers, expected %zu", key, count, expected);
}

static void expect_hash(const char *key, const uint8_t *x, size_t count, const char *expected)
{
    uint8_t hash[32];
    char got[65];
    blake3(NULL, x, count, hash, 32);
    for (size_t i = 0; i < 32; i++)
        sprintf(got + 2 * i, "%02x", hash[i]);
    if (strcmp(got, expected) != 0)
        fail("%s has the hash %s, expected %s", key, got, expected);
}

static void expect_numbers(const row *r, const char *key, const number *x, size_t count)
{
    json *value = field(r->expect, key);
    if (value->kind == TEXT) {
        expect_written(key, value->text, x, count);
        return;
    }
    uint64_t expected = integer_of(value, "count");
    if (expected != count)
        fail("%s has %zu numbers, expected %" PRIu64, key, count, expected);
    const char *first = text_of(value, "first");
    size_t shown = 1;
    for (const char *at = first; *at; at++)
        shown += *at == ' ';
    expect_written(key, first, x, shown < count ? shown : count);
    size_t width = (size_t)x[0].digits / 2;
    uint8_t *little = allocate(count, width);
    for (size_t i = 0; i < count; i++)
        for (size_t byte = 0; byte < width; byte++)
            little[i * width + byte] = (uint8_t)(x[i].bits >> (8 * byte));
    expect_hash(key, little, count * width, text_of(value, "hash"));
}

void expect_floats(const row *r, const char *key, const float *x, size_t count)
{
    number *n = allocate(count, sizeof *n);
    for (size_t i = 0; i < count; i++)
        n[i] = (number){isnan(x[i]) ? 0x7fc00000 : bits_of(x[i]), 8, isnan(x[i])};
    expect_numbers(r, key, n, count);
}

void expect_doubles(const row *r, const char *key, const double *x, size_t count)
{
    number *n = allocate(count, sizeof *n);
    for (size_t i = 0; i < count; i++)
        n[i] = (number){isnan(x[i]) ? 0x7ff8ull << 48 : wide_bits_of(x[i]), 16, isnan(x[i])};
    expect_numbers(r, key, n, count);
}

void expect_words(const row *r, const char *key, const uint32_t *x, size_t count)
{
    number *n = allocate(count, sizeof *n);
    for (size_t i = 0; i < count; i++)
        n[i] = (number){x[i], 8, false};
    expect_numbers(r, key, n, count);
}

void expect_halves(const row *r, const char *key, const uint16_t *x, size_t count)
{
    number *n = allocate(count, sizeof *n);
    for (size_t i = 0; i < count; i++)
        n[i] = (number){x[i], 4, false};
    expect_numbers(r, key, n, count);
}

void expect_bytes(const row *r, const char *key, const uint8_t *x, size_t count)
{
    json *value = field(r->expect, key);
    char *got = allocate(2 * count + 1, 1);
    for (size_t i = 0; i < count; i++)
        sprintf(got + 2 * i, "%02x", x[i]);
    if (value->kind == TEXT) {
        expect_text(r, key, got);
        return;
    }
    uint64_t expected = integer_of(value, "count");
    if (expected != count)
        fail("%s has %zu bytes, expected %" PRIu64, key, count, expected);
    const char *first = text_of(value, "first");
    if (strncmp(got, first, strlen(first)) != 0)
        fail("%s begins with %.*s, expected %s", key, (int)strlen(first), got, first);
    expect_hash(key, x, count, text_of(value, "hash"));
}

void expect_integer(const row *r, const char *key, uint64_t x)
{
    uint64_t expected = integer_of(r->expect, key);
    if (x != expected)
        fail("%s is %" PRIu64 ", expected %" PRIu64, key, x, expected);
}

void expect_text(const row *r, const char *key, const char *x)
{
    const char *expected = text_of(r->expect, key);
    if (strcmp(x, expected) != 0)
        fail("%s is %s, expected %s", key, x, expected);
}

void expect_boolean(const row *r, const char *key, bool x)
{
    if (x != boolean_of(r->expect, key))
        fail("%s is %s", key, x ? "true" : "false");
}
