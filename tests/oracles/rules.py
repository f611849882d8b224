"""Chapters 1, 6 and 8 once more: every row of three tables, computed from the text alone.

`pip install blake3`, then `python tests/oracles/rules.py`. It shares no code with the crates;
integers are Python's, so nothing here can overflow or round by accident.
"""

import json
import pathlib
import sys

import blake3

ONE = 1_000_000
MAX = 2**128 - 1
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "spec" / "vectors"


def tagged(tag, *parts):
    return blake3.blake3(b"".join(parts), derive_key_context=tag).digest()


def u32(n):
    return n.to_bytes(4, "little")


def u64(n):
    return n.to_bytes(8, "little")


def low(digest, size=8):
    return int.from_bytes(digest[:size], "little")


KINDS = {"rollout": b"\0", "gradient": b"\1"}


def unit_bytes(text, step=None):
    run, own, kind, index = text.split(".")
    step = int(own) if step is None else step
    return u64(int(run)) + u64(step) + KINDS[kind] + u32(int(index))


def assign(row):
    beacon, kind = bytes.fromhex(row["beacon"]), KINDS[row["kind"]]
    n = row["units_count"]
    weights = {bytes.fromhex(s["miner"]): s["bond"] * s["quota"] for s in row["shares"]}
    total = sum(weights.values())
    if total == 0:
        return []
    line = sorted(weights, key=lambda m: (tagged("cairn/assign/v1", beacon, kind, m), m))
    offset = low(tagged("cairn/offset/v1", beacon, kind), 16) % total
    order = sorted(range(n), key=lambda i: (tagged("cairn/deal/v1", beacon, kind, u32(i)), i))
    owners = {}
    for point, index in enumerate(order):
        passed = 0
        for miner in line:
            passed += weights[miner]
            if n * passed > point * total + offset:
                owners[index] = miner.hex()
                break
    return [owners[i] for i in range(n)]


def rate(row):
    lost = row["power"] * row["honest_share"] * (row["price"] + row["at_risk"])
    if lost == 0:
        return ONE
    gained = row["margin"] * row["gain"] * ONE * row["price"]
    assert gained <= MAX and lost <= MAX
    return min(ONE, max(row["floor"], -(-gained // lost)))


def forfeit(row):
    lost = row["power"] * row["honest_share"] * row["rate"]
    if lost == 0:
        return 2**64 - 1
    gained = row["margin"] * row["gain"] * ONE * row["price"]
    assert gained <= MAX
    return min(2**64 - 1, -(-gained // lost))


def drawn_steps(row, tag):
    beacon = bytes.fromhex(row["beacon"])
    draw = lambda step: low(tagged(tag, beacon, unit_bytes(row["unit"], step))) * ONE >> 64
    return [step for step in range(64) if draw(step) < row["rate"]]


def segments(row):
    beacon = bytes.fromhex(row["beacon"])
    tag = "cairn/sample-segment/v1"
    draw = lambda step: low(tagged(tag, beacon, unit_bytes(row["unit"], step)))
    return [draw(step) * row["segments_count"] >> 64 for step in range(16)]


def first_stage(row):
    # o / 2^64 < min(1, power / total * seats * (k + 1) / 10^6), without a division.
    o = low(bytes.fromhex(row["output"]))
    for stage in range(200):
        share = row["power"] * row["seats"] * (stage + 1)
        whole = row["total"] * ONE
        if o * whole < min(share, whole) << 64:
            return stage
    return None


def seat(beacon, unit, round_, index, candidates):
    digest = tagged("cairn/sample-auditor/v1", beacon, unit, u32(round_), u32(index))
    y = low(digest) * sum(power for _, power in candidates) >> 64
    passed = 0
    for position, (_, power) in enumerate(candidates):
        passed += power
        if y < passed:
            return position


def panel(row):
    beacon, unit = bytes.fromhex(row["beacon"]), unit_bytes(row["unit"])
    left, found = list(row["candidates"]), []
    for index in range(min(row["seats"], len(left))):
        found.append(left.pop(seat(beacon, unit, row["round"], index, left))[0])
    return found


def committee(row):
    beacon, unit = bytes.fromhex(row["beacon"]), unit_bytes(row["unit"])
    all_ = row["candidates"]
    seats = [seat(beacon, unit, row["round"], i, all_) for i in range(row["seats"])]
    return [[who, seats.count(i)] for i, (who, _) in enumerate(all_) if i in seats]


def sortition_input(row):
    beacon = bytes.fromhex(row["beacon"])
    return tagged("cairn/sortition/v1", beacon, unit_bytes(row["unit"])).hex()


def pay(row):
    """Units of given prices settle at given heights; when is what free?"""
    escrow, entries = row["escrow"], {}
    for height, price in row["settled"]:
        paid = min(price, escrow)
        escrow -= paid
        vests_at = height + row["vesting_blocks"]
        entries[vests_at] = entries.get(vests_at, 0) + paid
    free = lambda at: sum(amount for vests_at, amount in entries.items() if vests_at <= at)
    return {
        "escrow": escrow,
        "entries": [{"amount": a, "vests_at": h} for h, a in entries.items()],
        "free": [free(height) for height in row["asked"]],
    }


def slash(row):
    lost = row["bond"] + row["vesting"]
    share = lost * row["whistle_blower"] // ONE
    each = share // row["finders_count"] if row["finders_count"] else 0
    bounty = each * row["finders_count"]
    return {"each": each, "bounty": bounty, "burned": lost - bounty}


RULES = {
    "rate": rate,
    "forfeit": forfeit,
    "steps of 0 to 63 in which the unit is drawn": lambda r: drawn_steps(r, "cairn/sample-unit/v1"),
    "steps of 0 to 63 in which it is looked at again": lambda r: drawn_steps(
        r, "cairn/second-look/v1"
    ),
    "segments drawn in steps 0 to 15": segments,
    "input of an auditor's randomness": sortition_input,
    "first of 200 stages at which an auditor may": first_stage,
    "panel": panel,
    "committee": committee,
    "pay": pay,
    "slash": slash,
}


def main():
    wrong = count = 0
    for table in ["task.json", "sample.json", "reward.json"]:
        for row in json.loads((VECTORS / table).read_text()):
            rule = assign if table == "task.json" else RULES[row["name"]]
            found = json.loads(json.dumps(rule(row["input"])))
            count += 1
            if found != row["expect"]:
                wrong += 1
                print(f"{table}: {row['name']}: {row['input']}\n  {found}\n  {row['expect']}")
    print(f"{count - wrong} of {count} rows are what the text says")
    return wrong


if __name__ == "__main__":
    sys.exit(main() > 0)
