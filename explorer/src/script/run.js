// The run: where it stands, and its three curves.

const phases = {
  pretrain: "Pre-training",
  reinforce: "Reinforcement learning",
  finished: "Finished",
};
const stages = ["opening", "working", "attesting"];

/** At most this many segments; a longer run shows several steps in each. */
const segmentsCountMax = 160;

const timeline = (run) => {
  const per = Math.max(1, Math.ceil(run.steps_count / segmentsCountMax));
  const segments = [];
  for (let first = 0; first < run.steps_count; first += per) {
    const last = Math.min(first + per, run.steps_count);
    const phase = first < run.pretrain_steps_count ? "pretrain" : "reinforce";
    if (phase === "reinforce" && segments.length && first - per < run.pretrain_steps_count) {
      segments.push(html("i", { class: "gap" }));
    }
    const done = run.phase === "finished" || run.step >= last;
    const segment = html("i", { class: done ? `done ${phase}` : phase });
    if (!done && run.step >= first) {
      const { assigned, settled } = run.step_units;
      const part = (run.step - first + (assigned ? settled / assigned : 0)) / (last - first);
      const progress = html("b");
      progress.style.width = `${Math.max(6, 100 * part)}%`;
      segment.append(progress);
    }
    segments.push(segment);
  }
  return segments;
};

const drawRun = (run) => {
  setText("phase", phases[run.phase] ?? run.phase);
  const rest = run.steps_count - run.pretrain_steps_count;
  setText(
    "task",
    `${run.environment} · ${plural(run.pretrain_steps_count, "step", "steps")} of pre-training, then ${whole(rest)} of reinforcement`,
  );
  setText("step", whole(run.step));
  setText("steps", whole(run.steps_count));
  const bar = byId("timeline");
  bar.setAttribute("aria-label", `step ${run.step} of ${run.steps_count}, ${phases[run.phase] ?? run.phase}`);
  bar.replaceChildren(...timeline(run));
  const current = stages.indexOf(run.stage);
  const names = current < 0 ? [run.stage] : stages;
  byId("stages").replaceChildren(
    ...names.map((stage, index) =>
      html("li", { "aria-current": stage === run.stage ? "step" : null, class: index < current ? "past" : null, "data-stage": stage }, stage),
    ),
  );
  const { assigned, committed, settled } = run.step_units;
  const facts = [
    ...(run.phase === "finished"
      ? []
      : [["Units of this step", `${whole(assigned)} dealt, ${whole(committed)} committed, ${whole(settled)} settled`]]),
    ["Model", `${magnitude(run.parameters_count)} parameters`],
    ["Checkpoint", html("code", { title: run.checkpoint, id: "checkpoint" }, run.checkpoint?.slice(0, 16) ?? missing)],
    ["Left to pay", whole(run.escrow)],
  ];
  byId("facts").replaceChildren(
    ...facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))),
  );
};

const pointsOf = (run, field) =>
  run.points
    .filter((point) => point[field] !== null && point[field] !== undefined)
    .map((point) => ({ step: point.step, value: point[field] / 1e6 }));

const asPercent = (value) => percent(value * 1e6);
const percentAxis = { range: [0, 1], label: (value) => `${Math.round(value * 100)}\u202f%` };

const curvesOf = (run) => ({
  loss: {
    title: "Loss",
    subtitle: "mean of pre-training, nats per token",
    empty: "no pre-training step has closed yet",
    firstStep: 0,
    lastStep: Math.max(1, run.pretrain_steps_count - 1),
    label: (value) => String(Number(value.toFixed(2))),
    series: [{ name: "loss", title: "loss", show: (value) => value.toFixed(3), points: pointsOf(run, "loss_micro") }],
  },
  reward: {
    title: "Reward",
    subtitle: "mean of accepted rollouts",
    empty: "no rollouts have settled yet",
    firstStep: Math.min(run.pretrain_steps_count, ...pointsOf(run, "reward_micro").map((point) => point.step)),
    lastStep: Math.max(1, run.steps_count - 1),
    ...percentAxis,
    series: [
      { name: "reward", title: "reward", show: asPercent, points: pointsOf(run, "reward_micro") },
      { name: "exact", title: "exact", show: asPercent, points: pointsOf(run, "exact_micro") },
    ],
  },
  evaluation: {
    title: "Held-out evaluation",
    subtitle: "greedy answers exactly right",
    empty: "no checkpoint has been evaluated yet",
    firstStep: 0,
    lastStep: Math.max(1, run.steps_count),
    ...percentAxis,
    series: [{ name: "evaluation", title: "exact", show: asPercent, points: pointsOf(run, "evaluation_micro") }],
  },
});

const drawCurves = (run) => {
  for (const [name, curve] of Object.entries(curvesOf(run))) {
    drawCurve(document.querySelector(`[data-curve=${name}]`), curve);
  }
};
