/* Chapter 8: updates of which only the largest values are sent, and what they lose. */
#include "exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_VALUES = 4096, SHARE = 64, HEADER_BYTES = 5 };

static size_t in_chunk(size_t first, size_t count)
{
    return count - first < CHUNK_VALUES ? count - first : CHUNK_VALUES;
}

/* A chunk takes as much as if it sent all that it may. */
static size_t chunk_bytes(size_t count)
{
    return HEADER_BYTES + (SHARE + 9 * ((count + SHARE - 1) / SHARE) + 7) / 8;
}

static void set_bits(uint8_t *bits, size_t first, size_t length, size_t value)
{
    for (size_t i = 0; i < length; i++)
        bits[(first + i) / 8] |= (uint8_t)((value >> i & 1) << (first + i) % 8);
}

static size_t bits_at(const uint8_t *bits, size_t first, size_t length)
{
    size_t value = 0;
    for (size_t i = 0; i < length; i++)
        value |= (size_t)(bits[(first + i) / 8] >> (first + i) % 8 & 1) << i;
    return value;
}

/* Marks the largest values of a chunk, of equals the first; gives their number. */
static size_t choose(const float *x, size_t count, bool *sent)
{
    size_t chosen = 0;
    for (size_t left = (count + SHARE - 1) / SHARE; left > 0; left--) {
        size_t best = count;
        for (size_t i = 0; i < count; i++)
            if (!sent[i] && x[i] != 0.0f && (best == count || fabsf(x[i]) > fabsf(x[best])))
                best = i;
        if (best == count)
            break;
        sent[best] = true;
        chosen++;
    }
    return chosen;
}

static double level(double magnitude, double unit) { return magnitude >= 1.5 * unit ? 2.0 : 1.0; }

static uint32_t scale_of(const float *x, size_t count, const bool *sent, size_t chosen)
{
    double sum = 0.0, product = 0.0, square = 0.0;
    for (size_t i = 0; i < count; i++)
        if (sent[i])
            sum = sum + (double)fabsf(x[i]);
    double guess = (sum / (double)chosen) * (2.0 / 3.0);
    for (size_t i = 0; i < count; i++)
        if (sent[i]) {
            double magnitude = (double)fabsf(x[i]), l = level(magnitude, guess);
            product = product + magnitude * l;
            square = square + l * l;
        }
    double scale = nearbyint((product / square) * 0x1p+31);
    return scale < 1.0 ? 1 : scale > 4294967295.0 ? 4294967295u : (uint32_t)scale;
}

/* Writes one chunk, and replaces its values by what is sent of them; gives its bytes. */
static size_t write_chunk(float *x, size_t count, uint8_t *out)
{
    bool sent[CHUNK_VALUES] = {false};
    size_t chosen = choose(x, count, sent);
    uint32_t scale = chosen ? scale_of(x, count, sent, chosen) : 0;
    double unit = (double)scale / 0x1p+31;
    out[0] = (uint8_t)chosen;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(scale >> (8 * i));
    memset(out + HEADER_BYTES, 0, chunk_bytes(count) - HEADER_BYTES);
    uint8_t *bits = out + HEADER_BYTES;
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        if (!sent[i]) {
            x[i] = 0.0f;
            continue;
        }
        bool negative = x[i] < 0.0f;
        double l = level((double)fabsf(x[i]), unit);
        set_bits(bits, i / SHARE + place, 1, 1);
        set_bits(bits, SHARE + chosen + 6 * place, 6, i % SHARE);
        set_bits(bits, SHARE + 7 * chosen + 2 * place, 2, (negative ? 1 : 0) + (l == 2.0 ? 2 : 0));
        double value = ldexp((double)scale * l, -31);
        x[i] = (float)(negative ? -value : value);
        place++;
    }
    return chunk_bytes(count);
}

bool send(floats update, floats lost, float decay, bytes *out, float *values)
{
    size_t chunks = (update.count + CHUNK_VALUES - 1) / CHUNK_VALUES;
    *out = (bytes){allocate(chunks * chunk_bytes(CHUNK_VALUES) + 1, 1), 0};
    for (size_t i = 0; i < update.count; i++) {
        lost.at[i] = fmaf(decay, lost.at[i], update.at[i]);
        if (!(fabsf(lost.at[i]) <= 2.0f))
            return false;
        values[i] = lost.at[i];
    }
    for (size_t first = 0; first < update.count; first += CHUNK_VALUES)
        out->count += write_chunk(values + first, in_chunk(first, update.count),
                                  out->at + out->count);
    for (size_t i = 0; i < update.count; i++)
        lost.at[i] = lost.at[i] - values[i];
    return true;
}

bool receives(bytes update, size_t count)
{
    size_t read = 0;
    for (size_t first = 0; first < count; first += CHUNK_VALUES) {
        size_t limit = in_chunk(first, count), last = 0, place = 0;
        if (update.count - read < chunk_bytes(limit))
            return false;
        const uint8_t *chunk = update.at + read, *bits = chunk + HEADER_BYTES;
        size_t sent = chunk[0];
        if (sent > (limit + SHARE - 1) / SHARE)
            return false;
        if ((bits_at(chunk, 8, 32) == 0) != (sent == 0))
            return false;
        for (size_t at = 0; at < SHARE + sent; at++) {
            if (!bits_at(bits, at, 1))
                continue;
            if (place == sent)
                return false;
            size_t low = bits_at(bits, SHARE + sent + 6 * place, 6);
            size_t index = (at - place) * SHARE + low;
            if (index >= limit || (place > 0 && index <= last))
                return false;
            last = index;
            place++;
        }
        size_t all = 8 * (chunk_bytes(limit) - HEADER_BYTES);
        for (size_t at = SHARE + 9 * sent; at < all; at++)
            if (bits_at(bits, at, 1))
                return false;
        if (place != sent)
            return false;
        read += chunk_bytes(limit);
    }
    return read == update.count;
}
