// One proposal in full, and the stage of the hand-over: asked for when something moved.

/** Answers of the node by proposal, and what they were asked for. */
const details = new Map();
/** Cards that show votes and curves; older proposals show their end only. */
const detailedMax = 12;
/** Votes named on a card. */
const votesShown = 8;

/** Asks for a proposal's votes and curve when its count or status moved, then draws again. */
const wantDetails = (proposal, redraw) => {
  const { id, yes, no, abstain, veto, status } = proposal;
  const key = [yes, no, abstain, veto, status].join(" ");
  const known = details.get(id);
  if (known?.key === key) return known.answer;
  details.set(id, { key, answer: known?.answer ?? null });
  fetch(`/v1/proposals/${id}`, { cache: "no-store" })
    .then((response) => (response.ok ? response.json() : null))
    .then((answer) => {
      if (answer) details.set(id, { key, answer });
      redraw();
    })
    .catch(() => details.delete(id));
  return known?.answer ?? null;
};

const curveSize = { width: 560, height: 132, left: 42, right: 8, top: 8, bottom: 22 };

/** Support and approval over heights, each with its line. */
const voteCurve = (proposal, answer) => {
  const { width, height, left, right, top, bottom } = curveSize;
  const { curve, snapshot } = answer;
  if (!curve.length) return "";
  const first = snapshot;
  const last = Math.max(proposal.voting_ends, first + 1);
  const x = (at) => left + ((Math.min(at, last) - first) / (last - first)) * (width - left - right);
  const y = (micro) => top + (1 - micro / 1e6) * (height - top - bottom);
  const parts = [0, 500000, 1000000].flatMap((micro) => [
    svg("line", { class: "grid", x1: left, x2: width - right, y1: y(micro), y2: y(micro) }),
    svg("text", { x: left - 6, y: y(micro) + 4, "text-anchor": "end" }, `${micro / 1e4} %`),
  ]);
  for (const name of ["support", "approval"]) {
    const needed = proposal[`${name}_needed`];
    parts.push(svg("line", { class: `needed ${name}`, x1: left, x2: width - right, y1: y(needed), y2: y(needed) },
      svg("title", {}, `${name} needed: ${percent(needed)}`)));
    // The count stands until the next vote.
    const points = [[x(first), y(0)]];
    for (const point of curve) {
      points.push([x(point.height), points[points.length - 1][1]], [x(point.height), y(point[name])]);
    }
    const shown = proposal.status === "voting" && latest ? latest.height : last;
    points.push([x(Math.max(shown, curve[curve.length - 1].height)), points[points.length - 1][1]]);
    const path = points.map(([across, down]) => `${across.toFixed(1)},${down.toFixed(1)}`).join(" ");
    const { [name]: value } = curve[curve.length - 1];
    parts.push(svg("polyline", { class: `path ${name}`, points: path, "data-vote-curve": name, "data-value": value },
      svg("title", {}, `${name} ${percent(value)}`)));
  }
  parts.push(svg("text", { x: left, y: height - 5 }, `height ${whole(first)}`));
  parts.push(svg("text", { x: width - right, y: height - 5, "text-anchor": "end" }, `voting ends ${whole(last)}`));
  const now = curve[curve.length - 1];
  const words = `support ${percent(now.support)}, approval ${percent(now.approval)}`;
  return html(
    "figure",
    { class: "vote-curve" },
    html("figcaption", {}, html("i", { class: "support" }), "support", html("i", { class: "approval" }), "approval", html("span", { class: "quiet" }, "dashed: needed")),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, ...parts),
  );
};

/** A split vote in words. */
const weightsInWords = (weights) => {
  const parts = Object.entries(weights).filter(([, micro]) => micro > 0);
  if (parts.length === 1) return parts[0][0];
  return parts.map(([choice, micro]) => `${percent(micro)} ${choice}`).join(", ");
};

const voteRows = (answer) => {
  const rows = answer.votes.slice(0, votesShown).map(({ voter, weights, power, own }) =>
    html(
      "tr",
      { "data-voter": voter },
      html("td", {}, address(voter)),
      html("td", {}, weightsInWords(weights)),
      html("td", { class: "number" }, whole(power)),
      html("td", { class: "number" }, whole(own)),
    ),
  );
  if (!rows.length) return "";
  const more = answer.votes_count - rows.length;
  return html(
    "details",
    { class: "voters", open: "" },
    html("summary", {}, plural(answer.votes_count, "vote", "votes")),
    table("Votes", [["who", ""], ["how", ""], ["with", "number"], ["its own", "number"]], rows),
    more > 0 ? html("p", { class: "quiet" }, `and ${whole(more)} smaller ones`) : "",
  );
};

const depositLine = (answer) =>
  answer.status === "deposit"
    ? html("p", { class: "deadlines" }, `deposit ${whole(answer.deposited)} of ${whole(answer.price)}`)
    : "";

/** A gate: what is measured, where its line is, and how far it is. */
const gateRow = ({ name, found, needed, side, holds }) => {
  const reach = side === "below" ? (found <= needed ? 1 : needed / found) : needed ? Math.min(1, found / needed) : 1;
  const bar = html("span", { class: "share-bar" }, html("i", {}));
  bar.firstChild.style.width = `${100 * reach}%`;
  const shown = name.includes("millionths") ? percent : (value) => (value > 1e12 ? "any" : whole(value));
  return html(
    "tr",
    { "data-gate": name, "data-holds": String(holds) },
    html("td", { class: holds ? "met" : "unmet" }, name.replace(/ in millionths|millionths of /, (text) => (text.startsWith("m") ? "share of " : ""))),
    html("td", { class: "number" }, bar, shown(found)),
    html("td", { class: "number" }, `${side === "below" ? "below" : "at least"} ${shown(needed)}`),
  );
};

const stageNames = ["the steward decides", "votes decide, the steward may cancel", "votes decide, a council may cancel", "votes decide"];

const drawStage = (now) => {
  const { stage, gates, held_days, held_days_needed, steward_power, treasury, treasury_left_today, version, plan, paused } = now;
  const facts = [
    `the steward may ${steward_power}`,
    `treasury ${whole(treasury)}, of which ${whole(treasury_left_today)} may leave today`,
    plan ? `version ${version}; ${plan.version} is planned for height ${whole(plan.height)}, ${percent(plan.ready)} ready, 80 % needed` : `version ${version}`,
    ...paused.map(([module, until]) => `${module} paused until height ${whole(until)}`),
  ];
  const parts = [
    html("p", { "data-stage": stage }, html("b", {}, `Stage ${stage}`), `: ${stageNames[stage]}`),
    html("p", { class: "deadlines" }, ...facts.map((fact) => html("span", {}, fact))),
  ];
  if (gates.length) {
    parts.push(
      table(`Gates of stage ${stage + 1}`, [[`to enter stage ${stage + 1}`, ""], ["now", "number"], ["needed", "number"]], gates.map(gateRow)),
      html("p", { class: "quiet" }, `all must hold for ${held_days_needed} days; they have for ${held_days}`),
    );
  }
  byId("stage").replaceChildren(...parts);
};

const stageEveryMs = 3000;

const askStage = async () => {
  try {
    const response = await fetch("/v1/governance", { cache: "no-store" });
    if (!response.ok) return;
    const now = await response.json();
    const { height, ...rest } = now;
    whenChanged("stage", rest, () => drawStage(now));
  } catch {
    // The connection's lamp tells that the node is gone.
  }
};
