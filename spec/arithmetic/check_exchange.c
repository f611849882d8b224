/* Rows of chapters 8 and 9. */
#include "checks.h"
#include "exchange.h"
#include "training.h"

#include <stdio.h>
#include <string.h>

void check_compress(const row *r)
{
    floats values = floats_of(r->input, "values"), back = new_floats(values.count);
    bytes update;
    if (!encode(values, &update))
        fail("the values have no encoding");
    if (!decodes(update, values.count))
        fail("the encoding is refused");
    decompress(update, values.count, back.at);
    expect_bytes(r, "bytes", update.at, update.count);
    expect_floats(r, "values", back.at, back.count);
}

void check_encode(const row *r)
{
    bytes update;
    expect_boolean(r, "accepted", encode(floats_of(r->input, "values"), &update));
}

void check_decode(const row *r)
{
    bool accepted = decodes(bytes_of(r->input, "bytes"), integer_of(r->input, "count"));
    expect_boolean(r, "accepted", accepted);
}

void check_sparse(const row *r)
{
    floats update = floats_of(r->input, "values"), lost = copy_of(floats_of(r->input, "lost"));
    if (lost.count != update.count)
        fail("what was lost has another length");
    floats values = new_floats(update.count);
    bytes out;
    if (!send(update, lost, float_of(r->input, "decay"), &out, values.at))
        fail("the values have no encoding");
    if (!receives(out, update.count))
        fail("the encoding is refused");
    expect_bytes(r, "bytes", out.at, out.count);
    expect_floats(r, "values", values.at, values.count);
    expect_floats(r, "lost", lost.at, lost.count);
}

void check_sparse_encode(const row *r)
{
    floats update = floats_of(r->input, "values");
    floats lost = new_floats(update.count), values = new_floats(update.count);
    bytes out;
    expect_boolean(r, "accepted", send(update, lost, 0.0f, &out, values.at));
}

void check_sparse_decode(const row *r)
{
    bool accepted = receives(bytes_of(r->input, "bytes"), integer_of(r->input, "count"));
    expect_boolean(r, "accepted", accepted);
}

void check_aggregate(const row *r)
{
    json *list = field(r->input, "updates");
    given *updates = allocate(list->count + 1, sizeof *updates);
    floats centre = floats_of(r->input, "centre");
    if (!encode(centre, &updates[0].update))
        fail("the centre does not fit");
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].read = true;
        floats values = floats_of(&list->items[i], "values");
        updates[i + 1].tokens = integer_of(&list->items[i], "tokens");
        updates[i + 1].cluster = integer_of(&list->items[i], "cluster");
        if (!encode(values, &updates[i + 1].update) || values.count != centre.count)
            fail("update %zu does not fit", i);
    }
    robustness limits = {integer_of(r->input, "norm_max"), integer_of(r->input, "norm_ratio"),
                         integer_of(r->input, "weight_cap"), integer_of(r->input, "center_ratio"),
                         integer_of(r->input, "center_rounds")};
    floats values = new_floats(centre.count);
    aggregate(updates, list->count, &limits, values.at, values.count);
    expect_floats(r, "values", values.at, values.count);
}

void check_checkpoint(const row *r)
{
    model m = model_of(r->input);
    char *text = config_text(&m.c);
    expect_text(r, "config", text);
    bytes file = safetensors(&(entry){"config", text}, 1, &m.l, &(part){"", m.values}, 1);
    expect_bytes(r, "file", file.at, file.count);
}

/* Steps on each gradient in turn, then the weights and the file of the state. */
void check_outer(const row *r)
{
    model m = model_of(r->input);
    json *list = field(r->input, "gradients");
    floats first = new_floats(m.l.count), second = new_floats(m.l.count);
    bool is_adamw = strcmp(r->operation, "outer adamw") == 0;
    adamw_options o = {0};
    if (is_adamw)
        o = adamw_options_of(field(r->input, "options"));
    for (size_t i = 0; i < list->count; i++) {
        floats g = floats_in(&list->items[i]);
        if (is_adamw) {
            clip(g.at, g.count, float_of(r->input, "clip_norm"));
            adamw(&o, 1.0f, i + 1, m.values, g.at, first.at, second.at, g.count);
        } else {
            nesterov(float_of(r->input, "lr"), float_of(r->input, "momentum"), m.values, g.at,
                     first.at, g.count);
        }
    }
    expect_floats(r, "weights", m.values, m.l.count);
    char steps[24];
    snprintf(steps, sizeof steps, "%zu", list->count);
    entry metadata[] = {{"config", config_text(&m.c)},
                        {"optimizer", is_adamw ? "adamw" : "nesterov"},
                        {"step_count", steps}};
    part parts[] = {{is_adamw ? "m." : "momentum.", first.at}, {"v.", second.at}};
    bytes file = safetensors(metadata, 3, &m.l, parts, is_adamw ? 2 : 1);
    expect_bytes(r, "state", file.at, file.count);
}
