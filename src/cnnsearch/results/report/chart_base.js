"use strict";
/* What all charts share: colours, numbers as texts, axes, points and tooltips.
   Tooltips are drawn as text in the canvas, never as HTML: names in the data are texts of other people. */

const STATES = ["complete", "pruned", "failed", "running", "waiting", "interrupted", "refused", "duplicate", "passed"];

function palette(dark) {
  return dark
    ? { ink: "#e4e8ed", soft: "#a3afbd", line: "#36414d", paper: "#161b21", blue: "#7db3e8", orange: "#f0a468",
        green: "#7fce9b", red: "#f28b82", grey: "#8795a8", violet: "#c3a6f0", tint: "#2b3947" }
    : { ink: "#1f2933", soft: "#5a6775", line: "#dde3ea", paper: "#ffffff", blue: "#2b6cb0", orange: "#c05621",
        green: "#2f855a", red: "#c53030", grey: "#8795a8", violet: "#6b46c1", tint: "#dbe7f3" };
}

/* -- numbers and texts ------------------------------------------------------------------------- */

function score(study, value) {
  if (value === null || value === undefined) return "";
  return study.share ? `${(100 * value).toFixed(2)}%` : Number(value.toPrecision(4)).toString();
}

/* The 95% interval of a confirmed trial, in parentheses; empty without one. */
function interval(study, at) {
  const { low, high } = study.trials;
  return low[at] === null ? "" : ` (${score(study, low[at])} to ${score(study, high[at])})`;
}

function compact(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= size) return `${Number((value / (unit === "k" ? 1e3 : size)).toPrecision(3))}${unit}`;
  }
  return Number(value.toPrecision(3)).toString();
}

function duration(seconds) {
  if (seconds >= 600) {
    const minutes = Math.round(seconds / 60);
    return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
  }
  const whole = Math.round(seconds);
  return whole >= 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole} s`;
}

function short(text, most = 26) {
  text = String(text);
  const half = Math.floor((most - 1) / 2);
  return text.length <= most ? text : `${text.slice(0, most - 1 - half)}…${text.slice(-half)}`;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2 : 0;
}

function isFailed(study, at) {
  return !STATES.includes(study.trials.state[at]) || study.trials.state[at] === "failed";
}

/* The places of the trials in the columns for which `test` is true. */
function places(study, test) {
  return study.trials.number.map((_, at) => at).filter(test);
}

function complete(study) {
  return places(study, (at) => study.trials.state[at] === "complete" && study.trials.score[at] !== null);
}

/* The end of an axis of scores: four times as far from the best as the median is. Worse scores are at this end. */
function reach(study, scores) {
  if (!scores.length) return null;
  const best = scores.reduce((a, b) => (study.maximize ? Math.max(a, b) : Math.min(a, b)));
  const worst = scores.reduce((a, b) => (study.maximize ? Math.min(a, b) : Math.max(a, b)));
  const end = best + 4 * (median(scores) - best);
  return end !== best && Math.abs(worst - best) > Math.abs(end - best) ? end : null;
}

function clip(study, end, value) {
  if (end === null) return value;
  return study.maximize ? Math.max(end, value) : Math.min(end, value);
}

/* -- what all charts share --------------------------------------------------------------------- */

function base(colours) {
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { color: colours.ink, fontFamily: "system-ui, sans-serif" },
    grid: { left: 24, right: 20, top: 40, bottom: 36, containLabel: true },
    legend: { type: "scroll", top: 0, left: 0, right: 0, pageTextStyle: { color: colours.ink }, pageIconColor: colours.blue, textStyle: { color: colours.ink }, itemGap: 12, itemWidth: 14 },
    tooltip: {
      trigger: "item", renderMode: "richText", confine: true, backgroundColor: colours.paper,
      borderColor: colours.line, textStyle: { color: colours.ink, fontSize: 12 },
    },
  };
}

function axis(colours, name, more = {}) {
  return {
    type: "value", name, nameLocation: "middle", nameGap: 26, scale: true, nameTextStyle: { color: colours.soft },
    axisLine: { lineStyle: { color: colours.grey } }, splitLine: { lineStyle: { color: colours.line } },
    axisLabel: { color: colours.ink, hideOverlap: true }, ...more,
  };
}

function scoreAxis(study, colours, more = {}) {
  const labels = { color: colours.ink, formatter: (value) => (study.share ? `${Number((100 * value).toPrecision(4))}%` : compact(value)) };
  const max = study.share && study.maximize !== false ? (range) => (range.max > 0.9 ? 1 : null) : null;
  return axis(colours, "", { axisLabel: labels, max, ...more });
}

/* The lines of a tooltip for a trial. */
function trialText(study, at, more = []) {
  const own = study.trials;
  const lines = [`trial ${own.number[at]}: ${own.state[at]}`];
  if (own.score[at] !== null) lines.push(`${study.metric} ${score(study, own.score[at])}`);
  if (own.mean[at] !== null) {
    lines.push(`mean over ${own.n[at]} seeds ${score(study, own.mean[at])}${interval(study, at)}`);
  }
  return [...lines, ...more].join("\n");
}

/* A point of a trial; `value` is [x, y]. Points beyond the end of the axis are triangles at its end. */
function point(study, at, x, y, end) {
  const beyond = end !== null && clip(study, end, y) !== y;
  const found = { value: [x, clip(study, end, y)], at };
  return beyond ? { ...found, symbol: "triangle", symbolRotate: study.maximize ? 180 : 0 } : found;
}

function scatter(study, name, data, colour, more = {}) {
  return {
    type: "scatter", name, data, symbolSize: 8, itemStyle: { color: colour },
    tooltip: { formatter: (given) => trialText(study, given.data.at) }, ...more,
  };
}

/* Positions of values on an axis: numbers as they are, else one place for each value. */
function categories(values) {
  const known = [...new Set(values)];
  const numeric = known.every((value) => typeof value === "number");
  if (numeric && known.length > 6) return null;
  return numeric ? known.sort((a, b) => a - b) : known.sort((a, b) => String(a).localeCompare(String(b)));
}

/* An axis for the values of one hyperparameter, and the position of a value on it. */
function valueAxis(colours, name, values) {
  const kinds = categories(values);
  if (kinds) {
    return { axis: axis(colours, short(name, 34), { type: "category", data: kinds.map((kind) => short(kind, 14)) }), of: (value) => kinds.indexOf(value), kinds };
  }
  const low = Math.min(...values), high = Math.max(...values);
  const log = low > 0 && high > 8 * low;
  return { axis: axis(colours, short(name, 34), { type: log ? "log" : "value", axisLabel: { color: colours.ink, formatter: compact, hideOverlap: true } }), of: (value) => value, kinds: null };
}
