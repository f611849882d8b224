// Staying current: the event stream, polling while it fails, and drawing what changed.

let latest = null;

const drawHeader = (overview) => {
  setText("name", overview.name);
  setText("chain", overview.chain.slice(0, 16));
  byId("chain").title = overview.chain;
  setText("height", whole(overview.height));
  setText("interval", overview.block_interval_ms ? duration(overview.block_interval_ms) : missing);
  setText("peers", whole(overview.peers_count));
  setText("mempool", whole(overview.mempool_count));
  setText("fee", whole(overview.transfer_fee));
  const { run } = overview;
  document.title = `${overview.name} · height ${overview.height}${run ? ` · step ${run.step}/${run.steps_count}` : ""}`;
};

const draw = (overview) => {
  latest = overview;
  drawHeader(overview);
  const { run, units, miners, validators, proposals, events, height, block_interval_ms } = overview;
  if (run) {
    whenChanged("run", { ...run, points: null }, () => drawRun(run));
    whenChanged("curves", [run.points, run.steps_count], () => drawCurves(run));
  } else {
    setText("phase", "No run yet");
  }
  whenChanged("units", [units, run?.points.length], () => drawUnits(units, run?.points ?? []));
  whenChanged("miners", miners, () => drawMiners(miners));
  whenChanged("validators", validators, () => drawValidators(validators));
  whenChanged("proposals", [proposals, height], () => drawProposals(proposals, height, block_interval_ms));
  whenChanged("events", events, () => drawEvents(events));
  drawAge();
};

const drawAge = () => {
  if (latest) setText("age", latest.time_ms ? duration(Math.max(0, Date.now() - latest.time_ms)) : missing);
};

const connection = (state, text) => {
  const lamp = byId("connection");
  if (lamp.dataset.state === state) return;
  lamp.dataset.state = state;
  setText("connection-text", text);
};

const pollEveryMs = 1000;
const reopenEveryMs = 5000;
let polling = null;

const poll = async () => {
  try {
    const response = await fetch("/v1/overview", { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const overview = await response.json();
    if (polling === null) return;
    draw(overview);
    connection("polling", "polling");
  } catch {
    if (polling !== null) connection("offline", "node does not answer");
  }
};

const startPolling = () => {
  if (polling !== null) return;
  polling = setInterval(poll, pollEveryMs);
  poll();
};

const stopPolling = () => {
  clearInterval(polling);
  polling = null;
};

const subscribe = () => {
  const stream = new EventSource("/v1/events");
  stream.addEventListener("overview", (event) => {
    stopPolling();
    connection("live", "live");
    draw(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    startPolling();
    if (stream.readyState === EventSource.CLOSED) setTimeout(subscribe, reopenEveryMs);
  });
};

setInterval(drawAge, 1000);
setInterval(askStage, stageEveryMs);
askStage();
new ResizeObserver(() => {
  if (latest?.run) drawCurves(latest.run);
}).observe(document.querySelector(".curves"));

// The page shows something at once; the stream takes over with its first event.
startPolling();
subscribe();
