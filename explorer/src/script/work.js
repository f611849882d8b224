// Units by outcome, and the list of events.

const outcomes = [
  ["accepted", "accepted"],
  ["void", "void"],
  ["slashed", "slashed"],
  ["missed", "missed"],
];

const stackOf = (units) => {
  const parts = outcomes
    .filter(([name]) => units[name] > 0)
    .map(([name]) => {
      const part = html("i", { class: `is-${name}`, title: `${whole(units[name])} ${name}` });
      part.style.flexGrow = String(units[name]);
      return part;
    });
  const words = outcomes.map(([name]) => `${units[name]} ${name}`).join(", ");
  return html("div", { class: "stack", role: "img", "aria-label": words }, ...parts);
};

/** One column a step, the latest at the right. */
const columnsOf = (points) => {
  const shown = points.slice(-60);
  const sum = (units) => outcomes.reduce((total, [name]) => total + units[name], 0);
  const highest = Math.max(1, ...shown.map((point) => sum(point.units)));
  const slots = Math.max(12, shown.length);
  const bars = shown.flatMap((point, index) => {
    let bottom = 64;
    return outcomes.map(([name]) => {
      const height = (62 * point.units[name]) / highest;
      bottom -= height;
      const title = svg("title", {}, `step ${point.step}: ${point.units[name]} ${name}`);
      return svg("rect", { class: `is-${name}`, x: index * 10 + 1, y: bottom, width: 8, height }, title);
    });
  });
  return [
    svg("svg", { class: "bars", viewBox: `0 0 ${slots * 10} 64`, preserveAspectRatio: "none", role: "img", "aria-label": "units of each closed step by outcome" }, ...bars),
    html("p", { class: "caption" }, html("span", {}, `step ${shown[0].step}`), html("span", {}, "units of each closed step"), html("span", {}, shown.length >= slots ? `step ${shown[shown.length - 1].step}` : "")),
  ];
};

const drawUnits = (units, points) => {
  const counts = outcomes.map(([name, title]) =>
    html(
      "div",
      {},
      html("dt", { class: `is-${name}` }, title),
      html("dd", { "data-units": name, class: name === "slashed" && units.slashed ? "bad" : null }, whole(units[name])),
    ),
  );
  byId("units").replaceChildren(
    stackOf(units),
    html("dl", { class: "counts" }, ...counts),
    ...(points.length ? columnsOf(points) : []),
  );
};

const signs = { good: "✓", bad: "!", info: "·" };

const drawEvents = (events) => {
  const rows = events.map((event) =>
    html(
      "li",
      { class: event.tone, "data-tone": event.tone },
      html("span", { class: "at", title: `height ${event.height}` }, whole(event.height)),
      html("span", { class: "sign", "aria-hidden": "true" }, signs[event.tone] ?? signs.info),
      html("span", { class: "text" }, event.text),
    ),
  );
  byId("events").replaceChildren(...(rows.length ? rows : [html("li", { class: "nothing quiet" }, "Nothing yet.")]));
};
