"""The reference TOPLOC library's side of `cargo run --release -p verifier --example toploc`.

    python reference.py FOLDER

FOLDER/request.json lists sets of chunks: {"name", "rows", "hidden", "chunks"}. For each set,
NAME.bf16 holds chunks x rows x hidden bf16 values (little-endian) and NAME.PROOFS.txt, for every
PROOFS in "proofs", one proof a line in base64. Writes FOLDER/answer.json: for each set the
library's own proofs of every chunk, and for each PROOFS what the library measures of it; for the
set named "speed", the best times in seconds to build and to verify all its chunks on one thread.
"""

import json
import logging
import pathlib
import sys
import time

import torch
from toploc import build_proofs_base64, verify_proofs_base64

TOP_COUNT = 128
CHUNK_TOKENS = 32
REPETITIONS = 12


def activations(folder, chunk_set):
    raw = bytearray((folder / f"{chunk_set['name']}.bf16").read_bytes())
    values = torch.frombuffer(raw, dtype=torch.bfloat16)
    return values.view(chunk_set["chunks"], -1, chunk_set["hidden"])


def build(rows):
    return build_proofs_base64(rows, CHUNK_TOKENS, TOP_COUNT, skip_prefill=True)


def verify(rows, proofs):
    return verify_proofs_base64(rows, proofs, CHUNK_TOKENS, TOP_COUNT, skip_prefill=True)


def best(action):
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def measured(result):
    # 2^64 stands for "no exponent agrees, nothing to compare" in the library.
    return [result.exp_mismatches, float(result.mant_err_mean), float(result.mant_err_median)]


def answer(folder, chunk_set):
    chunks = activations(folder, chunk_set)
    found = {"proofs": [build(chunk)[0] for chunk in chunks], "measured": {}}
    for name in chunk_set["proofs"]:
        lines = (folder / f"{chunk_set['name']}.{name}.txt").read_text().split()
        pairs = zip(chunks, lines)
        found["measured"][name] = [measured(verify(c, [line])[0]) for c, line in pairs]
    return found


def speed(folder, chunk_set):
    rows = activations(folder, chunk_set)[0]
    proofs = build(rows)
    return {"build": best(lambda: build(rows)), "verify": best(lambda: verify(rows, proofs))}


def main():
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    folder = pathlib.Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    answers = {
        chunk_set["name"]: (speed if chunk_set["name"] == "speed" else answer)(folder, chunk_set)
        for chunk_set in request
    }
    (folder / "answer.json").write_text(json.dumps(answers))


main()
