/* Chapters 8 and 9. */
#include "exchange.h"

#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_VALUES = 256 };

/* ---- 8 updates ---- */

static size_t in_block(size_t first, size_t count)
{
    return count - first < BLOCK_VALUES ? count - first : BLOCK_VALUES;
}

static size_t encoded_bytes(size_t count)
{
    return count + 4 * ((count + BLOCK_VALUES - 1) / BLOCK_VALUES);
}

bool encode(floats values, bytes *update)
{
    *update = (bytes){allocate(encoded_bytes(values.count), 1), encoded_bytes(values.count)};
    uint8_t *out = update->at;
    for (size_t first = 0; first < values.count; first += BLOCK_VALUES) {
        size_t count = in_block(first, values.count);
        double m = 0.0;
        for (size_t i = 0; i < count; i++) {
            double magnitude = fabs((double)values.at[first + i]);
            if (!(magnitude <= (127.0 * 4294967295.0) / 0x1p+38))
                return false;
            m = magnitude > m ? magnitude : m;
        }
        double scale = ceil((m * 0x1p+38) / 127.0);
        bool empty = true;
        for (size_t i = 0; i < count; i++) {
            double x = (double)values.at[first + i] * 0x1p+38;
            int code = scale == 0.0 ? 0 : (int)nearbyint(x / scale);
            out[4 + i] = (uint8_t)code;
            empty = empty && code == 0;
        }
        uint32_t written = empty ? 0 : (uint32_t)scale;
        for (int i = 0; i < 4; i++)
            out[i] = (uint8_t)(written >> (8 * i));
        out += 4 + count;
    }
    return true;
}

static uint32_t scale_at(const uint8_t *block)
{
    return (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 |
           (uint32_t)block[3] << 24;
}

static int code_of(uint8_t byte) { return byte < 128 ? byte : (int)byte - 256; }

bool decodes(bytes update, size_t count)
{
    if (update.count != encoded_bytes(count))
        return false;
    const uint8_t *block = update.at;
    for (size_t first = 0; first < count; first += BLOCK_VALUES) {
        size_t values = in_block(first, count);
        uint64_t scale = scale_at(block), largest_code = 0;
        for (size_t i = 0; i < values; i++) {
            int code = code_of(block[4 + i]);
            if (code == -128)
                return false;
            uint64_t magnitude = (uint64_t)(code < 0 ? -code : code);
            largest_code = magnitude > largest_code ? magnitude : largest_code;
        }
        if ((scale == 0) != (largest_code == 0))
            return false;
        if (scale > 0 && (2 * largest_code + 1) * scale < 254 * (scale - 1))
            return false;
        block += 4 + values;
    }
    return true;
}

void decompress(bytes update, size_t count, float *values)
{
    const uint8_t *block = update.at;
    for (size_t first = 0; first < count; first += BLOCK_VALUES) {
        size_t own = in_block(first, count);
        for (size_t i = 0; i < own; i++) {
            int64_t units = (int64_t)code_of(block[4 + i]) * (int64_t)scale_at(block);
            values[first + i] = (float)ldexp((double)units, -38);
        }
        block += 4 + own;
    }
}

/* ---- 9 files ---- */

/* A growing run of bytes. */
static void append(bytes *b, const void *data, size_t count)
{
    b->at = realloc(b->at, b->count + count + 1);
    if (!b->at)
        fail("memory for %zu bytes is missing", b->count + count);
    memcpy(b->at + b->count, data, count);
    b->count += count;
}

static void append_text(bytes *b, const char *text) { append(b, text, strlen(text)); }

static void append_count(bytes *b, size_t count)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", count);
    append_text(b, digits);
}

/* A JSON string. The texts here are printable ASCII, of which two characters are escaped. */
static void append_string(bytes *b, const char *text)
{
    append_text(b, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            append_text(b, "\\");
        append(b, text, 1);
    }
    append_text(b, "\"");
}

/* The fewest digits that read back as the same f32, the nearest where several do. */
static void append_decimal(bytes *b, float x)
{
    char text[32] = "", digits[16] = "";
    for (int precision = 0; precision < 9; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    int exponent = atoi(strchr(text, 'e') + 1), count = 0;
    for (const char *at = text; *at != 'e'; at++)
        if (*at != '.')
            digits[count++] = *at;
    if (exponent < -6 || exponent > 12) {
        append(b, digits, 1);
        if (count > 1) {
            append_text(b, ".");
            append_text(b, digits + 1);
        }
        snprintf(text, sizeof text, "e%+d", exponent);
        append_text(b, text);
        return;
    }
    /* Down to the last digit, and to one digit after the point at least. */
    int last = exponent - count + 1 < -1 ? exponent - count + 1 : -1;
    for (int place = exponent < 0 ? 0 : exponent; place >= last; place--) {
        int index = exponent - place;
        append(b, index >= 0 && index < count ? &digits[index] : "0", 1);
        append_text(b, place == 0 ? "." : "");
    }
}

static void append_field(bytes *b, const char *key)
{
    append_text(b, b->count > 0 && b->at[b->count - 1] != '{' ? "," : "");
    append_string(b, key);
    append_text(b, ":");
}

char *config_text(const config *c)
{
    static const char *architectures[] = {"LlamaForCausalLM", "Qwen2ForCausalLM",
                                          "Qwen3ForCausalLM"};
    static const char *types[] = {"llama", "qwen2", "qwen3"};
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"vocab_size", c->vocab},
        {"hidden_size", c->d},
        {"intermediate_size", c->ff},
        {"num_hidden_layers", c->layers},
        {"num_attention_heads", c->heads},
        {"num_key_value_heads", c->key_heads},
        {"head_dim", c->head_dim},
    };
    const struct {
        const char *key;
        float value;
    } scaling[] = {{"factor", c->rope.factor},
                   {"low_freq_factor", c->rope.low},
                   {"high_freq_factor", c->rope.high}};
    bytes b = {0};
    append_text(&b, "{\"architectures\":[");
    append_string(&b, architectures[c->family]);
    append_text(&b, "]");
    append_field(&b, "model_type");
    append_string(&b, types[c->family]);
    append_field(&b, "hidden_act");
    append_string(&b, "silu");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        append_field(&b, sizes[i].key);
        append_count(&b, sizes[i].value);
    }
    append_field(&b, "rms_norm_eps");
    append_decimal(&b, c->eps);
    append_field(&b, "rope_theta");
    append_decimal(&b, c->rope.theta);
    if (c->rope.llama3) {
        append_field(&b, "rope_scaling");
        append_text(&b, "{\"rope_type\":\"llama3\"");
        for (size_t i = 0; i < sizeof scaling / sizeof *scaling; i++) {
            append_field(&b, scaling[i].key);
            append_decimal(&b, scaling[i].value);
        }
        append_field(&b, "original_max_position_embeddings");
        append_count(&b, c->rope.context);
        append_text(&b, "}");
    }
    append_field(&b, "max_position_embeddings");
    append_count(&b, c->positions);
    append_field(&b, "tie_word_embeddings");
    append_text(&b, c->tied ? "true}" : "false}");
    append(&b, "", 1);
    return (char *)b.at;
}

/* One tensor of a file. */
typedef struct {
    char *name;
    const tensor *shape;
    const float *values;
} source;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const source *)a)->name, ((const source *)b)->name);
}

bytes safetensors(const entry *metadata, size_t entries, const layout *l, const part *parts,
                  size_t part_count)
{
    size_t count = l->tensor_count * part_count, offset = 0;
    source *sources = allocate(count, sizeof *sources);
    for (size_t i = 0; i < count; i++) {
        const part *p = &parts[i / l->tensor_count];
        const tensor *t = &l->tensors[i % l->tensor_count];
        char *name = allocate(strlen(p->prefix) + strlen(t->name) + 1, 1);
        strcat(strcpy(name, p->prefix), t->name);
        sources[i] = (source){name, t, p->values + t->offset};
    }
    qsort(sources, count, sizeof *sources, by_name);
    bytes header = {0}, file = {0};
    append_text(&header, "{\"__metadata__\":{");
    for (size_t i = 0; i < entries; i++) {
        append_field(&header, metadata[i].key);
        append_string(&header, metadata[i].value);
    }
    append_text(&header, "}");
    for (size_t i = 0; i < count; i++) {
        const tensor *t = sources[i].shape;
        append_field(&header, sources[i].name);
        append_text(&header, "{\"dtype\":\"F32\",\"shape\":[");
        append_count(&header, t->rows);
        if (t->columns) {
            append_text(&header, ",");
            append_count(&header, t->columns);
        }
        append_text(&header, "],\"data_offsets\":[");
        append_count(&header, offset);
        append_text(&header, ",");
        append_count(&header, offset += 4 * t->count);
        append_text(&header, "]}");
    }
    append_text(&header, "}");
    while (header.count % 8 != 0)
        append_text(&header, " ");
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header.count >> (8 * i));
    append(&file, length, 8);
    append(&file, header.at, header.count);
    for (size_t i = 0; i < count; i++) {
        bytes data = little_endian(sources[i].values, sources[i].shape->count);
        append(&file, data.at, data.count);
    }
    return file;
}
