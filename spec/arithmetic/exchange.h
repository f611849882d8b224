/* Chapters 8 and 9: updates, their aggregate, and files. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Encodes values; false where they have no encoding. */
bool encode(floats values, bytes *update);
bool decodes(bytes update, size_t count);
void decompress(bytes update, size_t count, float *values);

/* Sends the largest values of decay times what was lost, plus an update; false where they have no
   encoding. `lost` is afterwards what is lost, `values` what is sent. */
bool send(floats update, floats lost, float decay, bytes *out, float *values);
bool receives(bytes update, size_t count);

typedef struct {
    bytes update;
    uint64_t tokens, cluster;
} given;
/* How far one update may pull, in millionths. */
typedef struct {
    uint64_t norm_max, norm_ratio, weight_cap, center_ratio, center_rounds;
} robustness;
/* The aggregate of updates 1 … n around updates[0], the centre. */
void aggregate(const given *updates, size_t n, const robustness *r, float *values, size_t count);

/* The text of config.json. */
char *config_text(const config *c);

/* Pairs of metadata, and prefixes of vectors in the canonical order of the layout. */
typedef struct {
    const char *key, *value;
} entry;
typedef struct {
    const char *prefix;
    const float *values;
} part;
bytes safetensors(const entry *metadata, size_t entries, const layout *l, const part *parts,
                  size_t part_count);

#endif
