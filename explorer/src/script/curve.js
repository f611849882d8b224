// Curves: lines over steps, drawn at the size they have on the screen, so that text stays crisp.

const margin = { top: 12, right: 14, bottom: 26, left: 44 };

/** Round values between two numbers, about `count` of them. */
const ticks = (low, high, count) => {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
};

/** Whole steps between two steps, at round distances. */
const stepTicks = (low, high, count) => {
  const rough = Math.max(1, (high - low) / count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const first = Math.ceil(low / distance);
  const last = Math.floor(high / distance);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * distance);
};

/** The last step to show: the whole range, unless the run has hardly begun. */
const lastStepShown = (first, last, total) =>
  last - first >= (total - first) / 4 ? total : Math.min(total, first + Math.max(8, (last - first) * 2));

/** Lowest and highest value to show, with round ends. */
const valueRange = (series) => {
  const values = series.flatMap((line) => line.points.map((point) => point.value));
  if (values.length === 0) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = Math.max((high - low) * 0.08, Math.abs(high) * 0.02, 0.01);
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
};

const frame = (scale, width, height, curve) => {
  const parts = [];
  const floor = height - margin.bottom;
  parts.push(svg("line", { class: "axis", x1: margin.left, x2: width - margin.right, y1: floor, y2: floor }));
  if (scale.empty) return parts;
  for (const value of ticks(scale.low, scale.high, 4)) {
    const y = scale.y(value);
    parts.push(svg("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y, y2: y }));
    parts.push(svg("text", { x: margin.left - 8, y: y + 4, "text-anchor": "end" }, curve.label(value)));
  }
  const count = Math.max(2, Math.floor(width / 60));
  for (const step of stepTicks(scale.first, scale.last, count)) {
    const x = scale.x(step);
    const anchor = x > width - margin.right - 12 ? "end" : "middle";
    parts.push(svg("line", { class: "axis", x1: x, x2: x, y1: floor, y2: floor + 4 }));
    parts.push(svg("text", { x, y: height - 7, "text-anchor": anchor }, String(step)));
  }
  return parts;
};

const drawLine = (line, scale, floor) => {
  const at = line.points.map((point) => [scale.x(point.step), scale.y(point.value)]);
  const path = at.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const parts = [];
  if (at.length > 1) {
    const [start, end] = [at[0][0], at[at.length - 1][0]];
    parts.push(svg("polygon", { class: "area", points: `${start},${floor} ${path} ${end},${floor}` }));
    parts.push(svg("polyline", { class: "line", points: path }));
  }
  const radius = at.length > 150 ? 1.2 : at.length > 60 ? 2 : 3.2;
  line.points.forEach((point, index) => {
    const last = index === at.length - 1;
    const attributes = {
      cx: at[index][0].toFixed(1),
      cy: at[index][1].toFixed(1),
      r: last ? Math.max(radius, 3.6) : radius,
      class: last ? "last" : null,
      "data-point": point.step,
      "data-series": line.name,
      "data-value": point.value,
    };
    const title = svg("title", {}, `step ${point.step}: ${line.title} ${line.show(point.value)}`);
    parts.push(svg("circle", attributes, title));
  });
  return svg("g", { class: `series-${line.name}` }, ...parts);
};

/** What a screen reader says instead of the drawing. */
const inWords = (curve) => {
  const lines = curve.series.filter((line) => line.points.length > 0);
  if (lines.length === 0) return `${curve.title}: nothing measured yet`;
  const say = (line) => {
    const [first, last] = [line.points[0], line.points[line.points.length - 1]];
    return `${line.title} from ${line.show(first.value)} at step ${first.step} to ${line.show(last.value)} at step ${last.step}`;
  };
  return `${curve.title}: ${lines.map(say).join("; ")}`;
};

const readings = (curve, step) =>
  curve.series.map((line) => {
    const { points } = line;
    const point = step === null ? points[points.length - 1] : points.find((one) => one.step === step);
    return html(
      "div",
      { class: `series-${line.name}` },
      html("strong", {}, point ? line.show(point.value) : missing),
      html("span", {}, line.title),
    );
  });

/** Follows the pointer: the nearest step's values, until the pointer leaves. */
const followPointer = (plot, curve, scale, header, subtitle) => {
  const cursor = plot.querySelector(".cursor");
  const steps = [...new Set(curve.series.flatMap((line) => line.points.map((point) => point.step)))];
  const show = (step) => {
    header.replaceChildren(...readings(curve, step));
    subtitle.textContent = step === null ? curve.subtitle : `step ${step}`;
    cursor.style.visibility = step === null ? "hidden" : "visible";
    for (const circle of plot.querySelectorAll("circle")) {
      circle.classList.toggle("near", step !== null && circle.dataset.point === String(step));
    }
    if (step === null) return;
    cursor.setAttribute("x1", scale.x(step));
    cursor.setAttribute("x2", scale.x(step));
  };
  plot.addEventListener("pointermove", (event) => {
    if (steps.length === 0) return;
    const x = event.clientX - plot.getBoundingClientRect().left;
    const distance = (step) => Math.abs(scale.x(step) - x);
    show(steps.reduce((best, step) => (distance(step) < distance(best) ? step : best)));
  });
  plot.addEventListener("pointerleave", () => show(null));
};

/** Draws a curve into its figure. */
const drawCurve = (figure, curve) => {
  const width = Math.max(240, figure.clientWidth - 36);
  const height = 216;
  const known = curve.series.flatMap((line) => line.points.map((point) => point.step));
  const lastKnown = known.length ? Math.max(...known) : curve.firstStep;
  const first = curve.firstStep;
  const last = Math.max(first + 1, lastKnown, lastStepShown(first, lastKnown, curve.lastStep));
  const [low, high] = curve.range ?? valueRange(curve.series);
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const scale = {
    first, last, low, high,
    empty: known.length === 0,
    x: (step) => margin.left + ((step - first) / (last - first)) * inner.width,
    y: (value) => margin.top + (1 - (value - low) / (high - low)) * inner.height,
  };
  const empty = known.length
    ? []
    : [svg("text", { class: "empty", x: margin.left + inner.width / 2, y: margin.top + inner.height / 2, "text-anchor": "middle" }, curve.empty)];
  const plot = svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": inWords(curve) },
    ...frame(scale, width, height, curve),
    svg("line", { class: "cursor", x1: 0, x2: 0, y1: margin.top, y2: height - margin.bottom }),
    ...curve.series.map((line) => drawLine(line, scale, height - margin.bottom)),
    ...empty,
  );
  const header = html("div", { class: "readings" }, ...readings(curve, null));
  const heading = html("h2", {}, curve.title);
  const subtitle = html("p", { class: "subtitle" }, curve.subtitle);
  followPointer(plot, curve, scale, header, subtitle);
  figure.replaceChildren(html("div", { class: "curve-head" }, heading, header), subtitle, plot);
};
