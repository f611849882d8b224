// Miners and validators.

/** What each check counts; the protocol's words for `measured`. */
const checks = {
  availability: "blobs that could not be had within the window",
  encoding: "faults in the encoding of the payload",
  completeness: "groups and samples missing or too many",
  commitment: "fields of the commitment that differ from the payload",
  finish: "samples whose end breaks the length or finish rules",
  sampling: "tokens that are not the seeded draw under the assigned checkpoint",
  activations: "sealed activations that differ from the recomputed ones",
  reward: "samples whose claimed reward is not what the environment computes",
  loss: "inner losses that differ from re-execution",
  update: "bytes of the pseudo-gradient that differ from re-execution",
  plant: "planted faults that are missing, not due or made up",
  margin: "millionths of a nat by which a token loses against the seeded draw",
  "margin-sum": "millionths of a nat by which all tokens lose together",
  "projection-peak": "as the distance of a token's projections",
  "projection-bulk": "as the distance that nearly all projections keep",
  lifetime: "millionths of a nat of evidence over all audited units",
  feedback: "files of what the update loses that differ from re-execution",
  state: "states at the end of the drawn segment that differ from re-execution",
};

/** What is not found by doing the work again. */
const shown = { equivocation: "It signed two commitments to one unit." };

const found = ({ check, measured, limit }) =>
  shown[check] ??
  `Re-execution found ${whole(measured)} ${checks[check] ?? "beyond the limit"}; ${limit ? `at most ${whole(limit)}` : "none"} are allowed.`;

const slashReason = (slash) =>
  html(
    "div",
    {
      class: "reason-box",
      "data-slash-reason": slash.check,
      "data-measured": slash.measured,
      "data-limit": slash.limit,
      "data-unit": slash.unit,
      "data-height": slash.height,
    },
    html(
      "p",
      {},
      html("b", {}, `Slashed: the check “${slash.check}” failed. `),
      found(slash),
    ),
    html(
      "p",
      { class: "against", title: slash.reason },
      html("span", {}, "rule ", html("b", {}, slash.reason.slice(slash.reason.indexOf(": ") + 2))),
      html("span", {}, "check ", html("b", {}, slash.check)),
      html("span", {}, "measured ", html("b", {}, whole(slash.measured))),
      html("span", {}, "limit ", html("b", {}, whole(slash.limit))),
      html("span", {}, "unit ", html("b", { class: "mono" }, slash.unit)),
      html("span", {}, "height ", html("b", {}, whole(slash.height))),
      html("span", {}, "burned ", html("b", {}, whole(slash.burned))),
      html("span", {}, "to its auditors ", html("b", {}, whole(slash.bounty))),
    ),
  );

const minerColumns = [
  ["Miner", ""], ["Status", ""], ["Accepted", "number"], ["Void", "number"], ["Slashed", "number"],
  ["Missed", "number"],
  ["Quota", "number"], ["Audited", "number"], ["Earned", "number"], ["Vesting", "number"], ["Bond", "number"],
];

const minerRows = (miner) => {
  const { units, slash } = miner;
  const row = html(
    "tr",
    { "data-miner": miner.address, "data-status": miner.status, class: slash ? "has-reason" : null },
    html("td", {}, address(miner.address)),
    html("td", {}, html("span", { class: `pill ${miner.status}` }, miner.status)),
    amountCell(units.accepted),
    amountCell(units.void),
    amountCell(units.slashed, "bad"),
    amountCell(units.missed),
    html("td", { class: "number" }, slash ? "–" : percent(miner.quota_micro)),
    html("td", { class: "number" }, slash ? "–" : percent(miner.audit_rate_micro)),
    amountCell(miner.earned),
    amountCell(miner.vesting),
    amountCell(miner.bond),
  );
  if (!slash) return [row];
  const cell = html("td", { class: "reason", colspan: minerColumns.length }, slashReason(slash));
  return [row, html("tr", { "data-miner-reason": miner.address }, cell)];
};

const drawMiners = (miners) => {
  const content = miners.length
    ? table("Miners, their units and what they earned", minerColumns, miners.flatMap(minerRows))
    : html("p", { class: "quiet" }, "No miner has joined yet.");
  byId("miners").replaceChildren(content);
};

const drawValidators = (validators) => {
  const total = validators.reduce((sum, validator) => sum + validator.power, 0);
  const rows = validators.map((validator) => {
    const bar = html("i");
    bar.style.width = total ? `${(100 * validator.power) / total}%` : "0";
    const meter = html("span", { class: "share-bar", title: `${share(validator.power, total)} of the power, by a stake of ${whole(validator.stake)}` }, bar);
    const isOut = validator.standing !== "bonded";
    return html(
      "tr",
      { "data-validator": validator.operator },
      html("td", {}, address(validator.operator), isOut ? html("div", { class: "bad" }, validator.standing) : ""),
      html("td", { class: "number" }, meter, whole(validator.power)),
      amountCell(validator.audits),
      amountCell(validator.earned),
      amountCell(validator.fined, "bad"),
    );
  });
  const columns = [["Validator", ""], ["Power", "number"], ["Audits", "number"], ["Earned", "number"], ["Fined", "number"]];
  const content = validators.length
    ? table("Validators, their power and their audits", columns, rows)
    : html("p", { class: "quiet" }, "No validators.");
  byId("validators").replaceChildren(content);
};
