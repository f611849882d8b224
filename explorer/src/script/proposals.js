// Proposals: what would change, how the stake stands, and when it takes effect.

const voteBar = (parts, total, mark) => {
  const bar = html("div", { class: "bar" });
  for (const [kind, stake] of parts) {
    const part = html("i", { class: kind, title: `${kind}: ${whole(stake)}` });
    part.style.width = total ? `${(100 * stake) / total}%` : "0";
    bar.append(part);
  }
  if (mark !== null) {
    const line = html("span", { class: "mark", title: "support needed" });
    line.style.left = `calc(${100 * mark}% - 1px)`;
    bar.append(line);
  }
  return bar;
};

const tally = (proposal) => {
  const { yes, no, abstain, veto, total, support_needed } = proposal;
  const of = (stake) => html("span", { class: "share" }, `${whole(stake)} · ${share(stake, total)}`);
  return html(
    "div",
    { class: "vote" },
    html("span", {}, "yes"), voteBar([["yes", yes], ["abstain", abstain]], total, support_needed / 1e6), of(yes),
    html("span", {}, "no"), voteBar([["no", no], ["no", veto]], total, null), of(no + veto),
  );
};

const conditions = (proposal) => {
  const { yes, no, abstain, veto, total, support_needed, approval_needed } = proposal;
  const support = yes + abstain;
  const decided = yes + no + veto;
  const needed = (micro) => `${Math.round(micro / 1e4)} %`;
  const condition = (met, text) => html("span", { class: met ? "met" : "unmet" }, text, html("span", { class: "hidden" }, met ? " (met)" : " (not met)"));
  const approved = decided > 0 && (approval_needed === 500000 ? 2 * yes > decided : 1e6 * yes >= approval_needed * decided);
  return html(
    "p",
    { class: "conditions" },
    condition(1e6 * support >= total * support_needed, `support ${share(support, total)} of ${whole(total)} at stake; ${needed(support_needed)} is needed${abstain ? `, ${whole(abstain)} abstain` : ""}`),
    condition(approved, `approval ${share(yes, decided)}; ${approval_needed === 500000 ? "more than half" : needed(approval_needed)} is needed`),
    veto ? condition(3 * veto <= yes + veto, `vetoes ${whole(veto)}; a third of yes and veto stops it`) : "",
  );
};

const countdown = (target, height, interval) => {
  if (target <= height) return "reached";
  const blocks = target - height;
  return `in ${plural(blocks, "block", "blocks")}, about ${duration(blocks * interval)}`;
};

const deadlines = (proposal, height, interval) => {
  const at = (name, label, target) =>
    html("span", { "data-deadline": name, "data-blocks": Math.max(0, target - height) }, `${label} height `, html("b", {}, whole(target)), ` – ${countdown(target, height, interval)}`);
  const { status } = proposal;
  const parts = [];
  if (status === "voting") parts.push(at("voting", "voting ends at", proposal.voting_ends));
  if (status === "voting") parts.push(at("enactment", "if passed, takes effect at", proposal.enact_at));
  if (status === "timelocked") parts.push(at("enactment", "takes effect at", proposal.enact_at));
  if (status === "executed") parts.push(html("span", {}, "in effect since height ", html("b", {}, whole(proposal.enact_at))));
  if (status === "deposit") parts.push(html("span", {}, "its deposit is not filled yet"));
  if (["rejected", "vetoed", "failed", "expired", "cancelled"].includes(status)) parts.push(html("span", {}, "it is over; nothing changes"));
  return html("p", { class: "deadlines" }, ...parts);
};

/** One decoded action; what changes permissions is marked. */
const changeLine = ({ what, old, new: next, is_permission }) =>
  html(
    "p",
    { class: is_permission ? "change permission" : "change" },
    html("code", {}, what),
    old === null ? "" : html("del", { class: "value", "data-old": old }, old),
    old === null ? "" : html("span", { "aria-label": "becomes" }, "→"),
    html("ins", { class: "value", "data-new": next }, next),
  );

const drawProposals = (proposals, height, interval) => {
  const redraw = () => drawProposals(proposals, height, interval);
  const cards = proposals.map((proposal, index) => {
    const answer = index < detailedMax ? wantDetails(proposal, redraw) : null;
    return html(
      "article",
      { class: "proposal", "data-proposal": proposal.id, "data-status": proposal.status },
      html("div", { class: "proposal-head" }, html("h3", {}, proposal.title), html("span", { class: `pill ${proposal.status}` }, proposal.status)),
      ...proposal.changes.map((change) => changeLine(change)),
      html("p", { class: "quiet" }, `track ${proposal.track} · `, html("code", { title: proposal.id }, `proposal ${short(proposal.id)}`)),
      tally(proposal),
      conditions(proposal),
      deadlines(proposal, height, interval),
      answer ? depositLine(answer) : "",
      answer ? voteCurve(proposal, answer) : "",
      answer ? voteRows(answer) : "",
    );
  });
  byId("proposals").replaceChildren(...(cards.length ? cards : [html("p", { class: "quiet" }, "Nothing has been proposed.")]));
};
