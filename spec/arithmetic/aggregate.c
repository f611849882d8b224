/* Chapter 8, the aggregate. */
#include "exchange.h"

#include "numbers.h"

#include <math.h>
#include <stdlib.h>

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 unsigned_wide;

static const uint64_t million = 1000000;

/* Units of 2^-38 of every value. */
static int64_t *units_of(bytes update, size_t count)
{
    int64_t *units = allocate(count, sizeof *units);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *block = update.at + i / 256 * 260;
        uint32_t scale = (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 |
                         (uint32_t)block[3] << 24;
        int code = block[4 + i % 256];
        units[i] = (int64_t)(code < 128 ? code : code - 256) * (int64_t)scale;
    }
    return units;
}

/* The largest whole number whose square is at most x. */
static unsigned_wide root(unsigned_wide x)
{
    unsigned_wide r = 0;
    for (int bit = 63; bit >= 0; bit--) {
        unsigned_wide next = r | (unsigned_wide)1 << bit;
        if (next * next <= x)
            r = next;
    }
    return r;
}

/* ---- weights ---- */

static int falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Tokens of the cluster of update k. */
static uint64_t of_cluster(const given *updates, size_t n, size_t k)
{
    uint64_t sum = 0;
    for (size_t i = 1; i <= n; i++)
        sum += updates[i].cluster == updates[k].cluster ? updates[i].tokens : 0;
    return sum;
}

static uint64_t most(const given *updates, size_t n, uint64_t cap)
{
    uint64_t *clusters = allocate(n, sizeof *clusters), count = 0, rest = 0;
    for (size_t k = 1; k <= n; k++) {
        bool seen = false;
        for (size_t i = 1; i < k; i++)
            seen = seen || updates[i].cluster == updates[k].cluster;
        uint64_t tokens = of_cluster(updates, n, k);
        if (!seen && tokens > 0) {
            clusters[count++] = tokens;
            rest += tokens;
        }
    }
    if (count == 0)
        return 0;
    qsort(clusters, count, sizeof *clusters, falling);
    uint64_t equal = (million + count - 1) / count;
    cap = cap < equal ? equal : cap;
    cap = cap > million ? million : cap;
    for (uint64_t m = 0; m < count && m * cap < million; m++) {
        unsigned_wide limit = (unsigned_wide)rest * cap / (million - m * cap);
        if (limit >= clusters[m])
            return (uint64_t)limit;
        rest -= clusters[m];
    }
    return clusters[count - 1];
}

static void weigh(const given *updates, size_t n, uint64_t cap, uint64_t *w)
{
    unsigned_wide *cut = allocate(n + 1, sizeof *cut), sum = 0;
    uint64_t limit = most(updates, n, cap);
    for (size_t k = 1; k <= n; k++) {
        uint64_t all = of_cluster(updates, n, k);
        cut[k] = (unsigned_wide)updates[k].tokens << 16;
        if (all > limit)
            cut[k] = cut[k] * limit / all;
        sum += cut[k];
    }
    for (size_t k = 1; k <= n; k++)
        w[k] = (uint64_t)((cut[k] << 22) / sum);
}

/* ---- influence ---- */

static uint64_t factor(unsigned_wide length, unsigned_wide limit)
{
    return length <= limit ? 1 << 16 : (uint64_t)((limit << 16) / length);
}

/* Of the updates that are not zero. */
static unsigned_wide median(const unsigned_wide *lengths, const uint64_t *w, size_t n,
                            const wide *gram)
{
    uint64_t total = 0;
    for (size_t k = 1; k <= n; k++)
        total += gram[k * (n + 1) + k] > 0 ? w[k] : 0;
    unsigned_wide least = 0;
    bool found = false;
    for (size_t k = 1; k <= n; k++) {
        if (gram[k * (n + 1) + k] == 0 || (found && lengths[k] >= least))
            continue;
        uint64_t passed = 0;
        for (size_t i = 1; i <= n; i++)
            passed += gram[i * (n + 1) + i] > 0 && lengths[i] <= lengths[k] ? w[i] : 0;
        if (2 * passed >= total) {
            least = lengths[k];
            found = true;
        }
    }
    return least;
}

/* One move of the centre: new coefficients a. */
static void move(const wide *gram, const wide *narrow, const uint64_t *w, const uint64_t *f,
                 uint64_t ratio, size_t n, uint64_t *a)
{
    size_t width = n + 1;
    unsigned_wide *d = allocate(width, sizeof *d);
    wide *along = allocate(width, sizeof *along), own = 0;
    for (size_t k = 0; k <= n; k++) {
        for (size_t j = 0; j <= n; j++)
            along[k] += (wide)a[j] * narrow[k * width + j];
        own += (wide)a[k] * along[k];
    }
    for (size_t k = 1; k <= n; k++) {
        wide square = narrow[k * width + k] * (wide)f[k] * (wide)f[k] * 4096 -
                      along[k] * (wide)f[k] * 128 + own;
        d[k] = square > 0 ? root((unsigned_wide)square) : 0;
    }
    unsigned_wide radius = median(d, w, n, gram) * ratio / million;
    uint64_t *p = allocate(width, sizeof *p), stays = (uint64_t)1 << 38;
    for (size_t k = 1; k <= n; k++) {
        p[k] = w[k] * (gram[k * width + k] == 0 ? 1 << 16 : factor(d[k], radius));
        stays -= p[k];
    }
    for (size_t k = 0; k <= n; k++)
        a[k] = (stays * a[k] + (k > 0 ? p[k] * f[k] * 64 : 0)) >> 38;
}

/* Rounds down. */
static wide shifted(wide x, int bits)
{
    wide unit = (wide)1 << bits;
    return x >= 0 ? x / unit : -((-x + unit - 1) / unit);
}

static void influence(const wide *gram, const uint64_t *w, const robustness *r, size_t n,
                      uint64_t *a)
{
    size_t width = n + 1;
    unsigned_wide *norms = allocate(width, sizeof *norms);
    uint64_t *f = allocate(width, sizeof *f);
    for (size_t k = 1; k <= n; k++)
        norms[k] = root((unsigned_wide)gram[k * width + k]);
    unsigned_wide limit = ((unsigned_wide)r->norm_max << 38) / million;
    unsigned_wide other = median(norms, w, n, gram) * r->norm_ratio / million;
    limit = other < limit ? other : limit;
    for (size_t k = 1; k <= n; k++)
        f[k] = factor(norms[k], limit);
    if (r->center_rounds == 0) {
        for (size_t k = 1; k <= n; k++)
            a[k] = (w[k] * f[k]) >> 16;
        return;
    }
    a[0] = 1 << 22;
    int shift = 0;
    for (size_t k = 0; k <= n; k++)
        while (gram[k * width + k] >> shift >= (wide)1 << 80)
            shift++;
    wide *narrow = allocate(width * width, sizeof *narrow);
    for (size_t i = 0; i < width * width; i++)
        narrow[i] = shifted(gram[i], shift);
    for (uint64_t round = 0; round < r->center_rounds; round++)
        move(gram, narrow, w, f, r->center_ratio, n, a);
}

void aggregate(const given *updates, size_t n, const robustness *r, float *values, size_t count)
{
    size_t width = n + 1;
    int64_t **x = allocate(width, sizeof *x);
    wide *gram = allocate(width * width, sizeof *gram);
    for (size_t k = 0; k <= n; k++)
        x[k] = units_of(updates[k].update, count);
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < width; j++)
            for (size_t at = 0; at < count; at++)
                gram[i * width + j] += (wide)x[i][at] * x[j][at];
    uint64_t *w = allocate(width, sizeof *w), *a = allocate(width, sizeof *a);
    weigh(updates, n, r->weight_cap, w);
    influence(gram, w, r, n, a);
    for (size_t at = 0; at < count; at++) {
        int64_t sum = 0;
        for (size_t k = 0; k <= n; k++)
            sum += (int64_t)a[k] * x[k][at];
        values[at] = ldexpf((float)sum, -60);
    }
}
