// Proposals: what would change, how the stake stands, and when it takes effect.

/** Yes and abstain together must be this share of the stake; and yes must exceed no. */
const supportNeeded = 1 / 3;

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
  const { yes, no, abstain, total } = proposal;
  const of = (stake) => html("span", { class: "share" }, `${whole(stake)} · ${share(stake, total)}`);
  return html(
    "div",
    { class: "vote" },
    html("span", {}, "yes"), voteBar([["yes", yes], ["abstain", abstain]], total, supportNeeded), of(yes),
    html("span", {}, "no"), voteBar([["no", no]], total, null), of(no),
  );
};

const conditions = (proposal) => {
  const { yes, no, abstain, total } = proposal;
  const support = yes + abstain;
  const condition = (met, text) => html("span", { class: met ? "met" : "unmet" }, text, html("span", { class: "hidden" }, met ? " (met)" : " (not met)"));
  return html(
    "p",
    { class: "conditions" },
    condition(support >= total * supportNeeded, `support ${share(support, total)} of ${whole(total)} at stake; a third is needed${abstain ? `, ${whole(abstain)} abstain` : ""}`),
    condition(yes > no, "more yes than no"),
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
  if (status === "passed") parts.push(at("enactment", "takes effect at", proposal.enact_at));
  if (status === "enacted") parts.push(html("span", {}, "in effect since height ", html("b", {}, whole(proposal.enact_at))));
  if (status === "rejected") parts.push(html("span", {}, "voting is over; nothing changes"));
  return html("p", { class: "deadlines" }, ...parts);
};

const drawProposals = (proposals, height, interval) => {
  const cards = proposals.map((proposal) =>
    html(
      "article",
      { class: "proposal", "data-proposal": proposal.id, "data-status": proposal.status },
      html("div", { class: "proposal-head" }, html("h3", {}, proposal.title), html("span", { class: `pill ${proposal.status}` }, proposal.status)),
      html(
        "p",
        { class: "change" },
        html("code", {}, proposal.parameter),
        html("del", { class: "value", "data-old": proposal.old }, whole(proposal.old)),
        html("span", { "aria-label": "becomes" }, "→"),
        html("ins", { class: "value", "data-new": proposal.new }, whole(proposal.new)),
        html("code", { class: "quiet", title: proposal.id }, `proposal ${short(proposal.id)}`),
      ),
      tally(proposal),
      conditions(proposal),
      deadlines(proposal, height, interval),
    ),
  );
  byId("proposals").replaceChildren(...(cards.length ? cards : [html("p", { class: "quiet" }, "Nothing has been proposed.")]));
};
