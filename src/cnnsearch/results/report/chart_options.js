"use strict";
/* Options of the charts for ECharts, one function for each kind. They get a study's data (payload.py) and colours.
   chart_base.js has what they share. */

const MOST_AXES = 7;

const HISTORY_AXES = {
  trial: ["trial", (study, at) => study.trials.number[at]],
  time: ["seconds since the start", (study, at) => study.trials.end[at]],
  epochs: ["epochs trained so far", (study, at, sums) => sums[at]],
};

function bestSoFar(study, ends, x) {
  const line = [];
  let best = null;
  for (const at of ends) {
    const value = study.trials.score[at];
    if (best === null || (study.maximize ? value > best : value < best)) {
      best = value;
      line.push([x(at), value]);
    }
  }
  if (line.length) line.push([x(ends[ends.length - 1]), best]);
  return line;
}

function searchHistory(study, colours, settings) {
  const own = study.trials;
  const sums = [];
  own.epochs.reduce((sum, epochs, at) => (sums[at] = sum + epochs), 0);
  const [label, place] = HISTORY_AXES[settings.x || "trial"];
  const x = (at) => place(study, at, sums);
  const trained = places(study, (at) => own.score[at] !== null && ["complete", "pruned"].includes(own.state[at]) && x(at) !== null);
  const done = trained.filter((at) => own.state[at] === "complete");
  const end = reach(study, (done.length ? done : trained).map((at) => own.score[at]));
  const some = (test) => trained.filter(test).map((at) => point(study, at, x(at), own.score[at], end));
  const isDone = (at) => own.state[at] === "complete";
  const series = [
    scatter(study, "pruned", some((at) => !isDone(at)), colours.grey),
    scatter(study, "complete", some((at) => isDone(at) && own.origin[at] === "sampler"), colours.blue),
    scatter(study, "default point", some((at) => isDone(at) && own.origin[at] === "default"), colours.green, { symbol: "rect" }),
    scatter(study, "recipe or prior", some((at) => isDone(at) && !["sampler", "default"].includes(own.origin[at])), colours.orange, { symbol: "diamond" }),
  ];
  const sorted = [...done].sort((a, b) => x(a) - x(b));
  series.push({ type: "line", name: "best so far", step: "end", silent: true, z: 1, symbol: "none", data: bestSoFar(study, sorted, x).map(([a, b]) => [a, clip(study, end, b)]), lineStyle: { color: colours.blue, opacity: 0.6 }, itemStyle: { color: colours.blue } });
  const confirmed = done.filter((at) => own.mean[at] !== null);
  if (confirmed.length) series.push(intervals(study, confirmed, x, colours));
  const failed = places(study, (at) => isFailed(study, at) && x(at) !== null);
  const floor = trained.length ? trained.map((at) => clip(study, end, own.score[at])).reduce((a, b) => (study.maximize ? Math.min(a, b) : Math.max(a, b))) : 0;
  series.push(scatter(study, "failed", failed.map((at) => ({ value: [x(at), floor], at })), colours.red, { symbol: "path://M0,0L10,10M10,0L0,10", itemStyle: { color: "transparent", borderColor: colours.red, borderWidth: 2 } }));
  return {
    ...base(colours), xAxis: axis(colours, label, { scale: false }), yAxis: scoreAxis(study, colours),
    dataZoom: [{ type: "inside", zoomOnMouseWheel: "ctrl" }],
    series: series.filter((one) => one.data.length),
  };
}

/* Means over new seeds with their intervals. */
function intervals(study, confirmed, x, colours) {
  const own = study.trials;
  return {
    type: "custom", name: "mean over seeds", clip: true, itemStyle: { color: colours.orange },
    data: confirmed.map((at) => ({ value: [x(at), own.mean[at], own.low[at] ?? own.mean[at], own.high[at] ?? own.mean[at]], at })),
    encode: { x: 0, y: [1, 2, 3] },
    tooltip: { formatter: (given) => trialText(study, given.data.at) },
    renderItem: (params, api) => {
      const [middle, low, high] = [1, 2, 3].map((part) => api.coord([api.value(0), api.value(part)]));
      const stroke = { stroke: colours.orange, lineWidth: 2 };
      const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: stroke });
      return { type: "group", children: [
        line(middle[0], low[1], middle[0], high[1]), line(middle[0] - 4, low[1], middle[0] + 4, low[1]),
        line(middle[0] - 4, high[1], middle[0] + 4, high[1]),
        { type: "circle", shape: { cx: middle[0], cy: middle[1], r: 4 }, style: { fill: colours.paper, ...stroke } },
      ] };
    },
  };
}

/* The best score so far of several studies. */
function both(studies, colours) {
  const lines = [colours.blue, colours.orange, colours.green, colours.violet];
  const series = studies.map((study, place) => {
    const done = complete(study);
    return { type: "line", name: study.study, step: "end", symbol: "circle", symbolSize: 6, data: bestSoFar(study, done, (at) => study.trials.number[at]), lineStyle: { color: lines[place % 4], type: place ? "dashed" : "solid" }, itemStyle: { color: lines[place % 4] },
      tooltip: { formatter: (given) => `${study.study}, trial ${given.value[0]}\n${study.metric} ${score(study, given.value[1])}` } };
  });
  return { ...base(colours), xAxis: axis(colours, "trial", { scale: false }), yAxis: scoreAxis(studies[0], colours), series };
}

function curves(study, colours) {
  const ends = Object.values(study.curves).map((line) => line[line.length - 1]).filter((value) => value !== null);
  const end = reach(study, ends);
  const at = new Map(study.trials.number.map((number, place) => [number, place]));
  const state = (number) => study.trials.state[at.get(number)];
  const numbers = Object.keys(study.curves).map(Number).filter((number) => at.has(number)).sort((a, b) => (a === study.best) - (b === study.best));
  const series = numbers.map((number) => {
    const best = number === study.best;
    const colour = best ? colours.orange : state(number) === "complete" ? colours.blue : colours.grey;
    return {
      type: "line", name: best ? `best, trial ${number}` : state(number) === "complete" ? "complete" : "pruned or failed",
      data: study.curves[number].map((value, epoch) => ({ value: [epoch + 1, value === null ? null : clip(study, end, value)], at: at.get(number) })),
      symbolSize: best ? 6 : 3, showSymbol: best || study.curves[number].length === 1, z: best ? 5 : 2, triggerLineEvent: true,
      lineStyle: { color: colour, width: best ? 3 : 1, opacity: best ? 1 : 0.5 }, itemStyle: { color: colour },
      emphasis: { focus: "series", lineStyle: { width: 3, opacity: 1 } },
      tooltip: { formatter: (given) => trialText(study, given.data ? given.data.at : at.get(number), given.value ? [`epoch ${given.value[0]}: ${score(study, given.value[1])}`] : []) },
    };
  });
  return { ...base(colours), xAxis: axis(colours, "epoch", { min: 1, minInterval: 1 }), yAxis: scoreAxis(study, colours), series };
}

/* Training and validation of one trial, for a metric such as `loss`. */
function trainingCurves(study, colours, number, name) {
  const own = study.histories[number] || {};
  const parts = [["training", name, colours.blue], ["validation", `val_${name}`, colours.orange]].filter(([, key]) => own[key]);
  const share = { ...study, share: name === "accuracy", metric: name };
  return {
    ...base(colours), xAxis: axis(colours, "epoch", { min: 1, minInterval: 1 }), yAxis: scoreAxis(share, colours),
    series: parts.map(([label, key, colour]) => ({
      type: "line", name: label, data: own[key].map((value, epoch) => [epoch + 1, value]), itemStyle: { color: colour }, lineStyle: { color: colour },
      tooltip: { formatter: (given) => `${label} ${name}, epoch ${given.value[0]}: ${score(share, given.value[1])}` },
    })),
  };
}

/* How many trials ran at the same time at most. */
function atOnce(study) {
  const changes = places(study, (at) => study.trials.start[at] !== null).flatMap((at) => [[study.trials.start[at] + 0.05, 1], [study.trials.end[at] === null ? Infinity : study.trials.end[at], -1]]);
  let now = 0, most = 1;
  for (const [, change] of changes.sort((a, b) => a[0] - b[0] || a[1] - b[1])) most = Math.max(most, (now += change));
  return most;
}

function timeline(study, colours) {
  const own = study.trials;
  const known = places(study, (at) => own.start[at] !== null);
  const last = Math.max(...known.map((at) => own.end[at] === null ? own.start[at] : own.end[at]), 0);
  const lanes = [];
  const rows = [...known].sort((a, b) => own.start[a] - own.start[b]).map((at) => {
    const end = own.end[at] === null ? last : own.end[at];
    let lane = lanes.findIndex((busy) => busy <= own.start[at] + 0.05);
    if (lane < 0) lane = lanes.push(0) - 1;
    lanes[lane] = end;
    return { value: [own.start[at], end, lane], at };
  });
  const colour = (at) => ({ complete: colours.blue, pruned: colours.grey, running: colours.green, waiting: colours.violet })[own.state[at]] || (isFailed(study, at) ? colours.red : colours.soft);
  const kind = (at) => (isFailed(study, at) ? "failed" : own.state[at]);
  const names = [...new Set(rows.map((row) => kind(row.at)))];
  const series = names.map((name) => ({
    type: "custom", name, data: rows.filter((row) => kind(row.at) === name), encode: { x: [0, 1], y: 2 },
    itemStyle: { color: colour(rows.find((row) => kind(row.at) === name).at) },
    tooltip: { formatter: (given) => trialText(study, given.data.at, [`${duration(given.value[0])} to ${duration(given.value[1])}`]) },
    renderItem: (params, api) => {
      const [start, end] = [api.coord([api.value(0), api.value(2)]), api.coord([api.value(1), api.value(2)])];
      const height = Math.max(3, Math.min(24, 0.7 * api.size([0, 1])[1]));
      return { type: "rect", shape: { x: start[0], y: start[1] - height / 2, width: Math.max(1.5, end[0] - start[0]), height, r: 2 }, style: { fill: api.visual("color"), stroke: colours.paper, lineWidth: 0.5 } };
    },
  }));
  return {
    ...base(colours), xAxis: axis(colours, "seconds since the start", { scale: false }),
    yAxis: { type: "category", data: lanes.map((_, lane) => `${lane + 1}`), axisLabel: { color: colours.ink }, axisLine: { lineStyle: { color: colours.grey } } },
    dataZoom: [{ type: "inside", zoomOnMouseWheel: "ctrl" }], series,
  };
}

function bars(colours, names) {
  return { type: "category", inverse: true, data: names.map((name) => short(name)), axisLabel: { color: colours.ink }, axisLine: { lineStyle: { color: colours.grey } }, axisTick: { show: false } };
}

function importance(study, colours) {
  const rows = study.importance.slice(0, 15);
  return {
    ...base(colours), xAxis: axis(colours, "share of the variance", { scale: false }), yAxis: bars(colours, rows.map((row) => row.name)),
    series: [
      { type: "bar", name: "importance", data: rows.map((row) => ({ value: row.share, row, itemStyle: { color: row.above ? colours.blue : colours.grey } })), itemStyle: { color: colours.blue },
        tooltip: { formatter: (given) => `${given.data.row.name}\nimportance ${given.data.row.share.toFixed(3)}, by chance ${given.data.row.chance.toFixed(3)}` } },
      { type: "scatter", name: "by chance", symbol: "rect", symbolSize: [3, 16], itemStyle: { color: colours.red }, data: rows.map((row, place) => [row.chance, place]), tooltip: { show: false } },
    ],
  };
}

/* How far the axis of effects goes. One interval that is far longer than all others would squash them; it is cut. */
function effectReach(rows) {
  const longest = (some) => Math.max(0, ...some.flatMap((row) => [row.difference, row.low, row.high]).map((end) => Math.abs(end || 0)));
  const others = rows.map((row) => longest([row])).sort((a, b) => a - b);
  const wanted = Math.max(longest(rows.filter((row) => row.verdict !== "unclear")), 3 * (others[Math.floor(others.length / 2)] || 0));
  if (longest(rows) <= 2 * wanted) return null;
  // a round number
  const digit = 10 ** Math.floor(Math.log10(wanted));
  return Math.ceil((2 * wanted) / digit) / 2 * digit;
}

function effects(study, colours) {
  const rows = study.effects.slice(0, 18);
  const unit = study.share ? 100 : 1, reach = effectReach(rows);
  const colour = (row) => (row.verdict === "better" ? colours.green : row.verdict === "worse" ? colours.red : colours.grey);
  return {
    ...base(colours), legend: { show: false },
    xAxis: axis(colours, `difference in ${study.metric}${study.share ? ", points" : ""}`, { scale: false, ...(reach === null ? {} : { min: -unit * reach, max: unit * reach, axisLabel: { color: colours.ink, formatter: (end) => String(Number(end.toPrecision(2))) } }) }),
    yAxis: bars(colours, rows.map((row) => `${row.choice} ${row.value}`)),
    series: [{
      type: "custom", name: "difference", clip: true, encode: { x: [0, 1, 2], y: 3 },
      data: rows.map((row, place) => ({ value: [unit * row.difference, unit * (row.low === null ? row.difference : row.low), unit * (row.high === null ? row.difference : row.high), place], row })),
      tooltip: { formatter: (given) => { const row = given.data.row; return `${row.choice}: ${row.value} against ${row.against}\n${row.verdict}: ${given.value[0].toPrecision(3)} (${given.value[1].toPrecision(3)} to ${given.value[2].toPrecision(3)})\nn = ${row.n}, ${row.how}`; } },
      renderItem: (params, api) => {
        const [middle, low, high] = [0, 1, 2].map((part) => api.coord([api.value(part), api.value(3)]));
        const own = colour(rows[params.dataIndex]);
        return { type: "group", children: [
          { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: own, lineWidth: 2.5 } },
          { type: "circle", shape: { cx: middle[0], cy: middle[1], r: 4.5 }, style: { fill: own } },
        ] };
      },
    }],
  };
}

function slices(study, colours, settings) {
  const name = settings.name, values = study.choices[name] || [];
  const known = complete(study).filter((at) => values[at] !== null && values[at] !== undefined);
  if (!known.length) return base(colours);
  const place = valueAxis(colours, name, known.map((at) => values[at]));
  const end = reach(study, known.map((at) => study.trials.score[at]));
  const data = known.map((at) => point(study, at, place.of(values[at]), study.trials.score[at], end));
  const series = [scatter(study, "trials", data, colours.blue, { itemStyle: { color: colours.blue, opacity: 0.6 } })];
  if (place.kinds) {
    const middles = place.kinds.map((kind, at) => [at, clip(study, end, median(known.filter((one) => values[one] === kind).map((one) => study.trials.score[one])))]);
    series.push({ type: "scatter", name: "median", symbol: "rect", symbolSize: [34, 3], data: middles, itemStyle: { color: colours.orange }, tooltip: { formatter: (given) => `median ${score(study, given.value[1])}` } });
  }
  return { ...base(colours), xAxis: place.axis, yAxis: scoreAxis(study, colours), series };
}

function parallel(study, colours) {
  const order = study.importance.map((row) => row.name);
  const known = complete(study);
  const shared = (name) => study.choices[name] && known.every((at) => study.choices[name][at] !== null);
  const names = (order.length ? order : study.names).filter(shared).slice(0, MOST_AXES - 1);
  known.splice(0, known.length - study.lines);
  if (!known.length || !names.length) return base(colours);
  const scores = known.map((at) => study.trials.score[at]);
  const end = reach(study, scores);
  const label = { nameTextStyle: { color: colours.ink, fontSize: 10 }, axisLabel: { color: colours.ink, fontSize: 9 }, axisLine: { lineStyle: { color: colours.grey } } };
  const axes = names.map((name) => valueAxis(colours, name, known.map((at) => study.choices[name][at])));
  const low = end !== null && study.maximize ? end : Math.min(...scores), high = end !== null && !study.maximize ? end : Math.max(...scores);
  const ramp = [colours.grey, colours.blue, colours.orange];
  return {
    ...base(colours), legend: { show: false }, parallel: { left: 44, right: 60, top: 46, bottom: 40, parallelAxisDefault: { nameGap: 14 } },
    visualMap: { show: false, min: low, max: high, dimension: names.length, inRange: { color: study.maximize ? ramp : [...ramp].reverse() } },
    parallelAxis: [
      ...axes.map((one, dim) => ({ dim, name: short(names[dim].split("/").slice(-2).join("/"), 15), type: one.axis.type, data: one.axis.data, scale: true, ...label })),
      { dim: names.length, name: short(study.metric, 18), type: "value", min: low, max: high, inverse: !study.maximize, ...label, axisLabel: { ...label.axisLabel, formatter: (value) => score(study, value) } },
    ],
    series: [{
      type: "parallel", lineStyle: { width: 1.2, opacity: 0.45 }, emphasis: { lineStyle: { width: 3, opacity: 1 } },
      data: known.map((at) => ({ value: [...names.map((name, dim) => axes[dim].of(study.choices[name][at])), clip(study, end, study.trials.score[at])], at })),
      tooltip: { formatter: (given) => trialText(study, given.data.at, names.map((name) => `${name} ${study.choices[name][given.data.at]}`)) },
    }],
  };
}

function tradeoff(study, colours, cost) {
  const own = study.trials, unit = cost === "latency_1" ? 1000 : 1;
  const known = complete(study).filter((at) => own[cost][at]);
  /* not the mean of a confirmed trial: it would be compared with the lucky scores of the others */
  const value = (at) => own.score[at];
  const end = reach(study, known.map(value));
  const front = [];
  const sign = study.maximize ? 1 : -1;
  for (const at of [...known].sort((a, b) => own[cost][a] - own[cost][b] || sign * (value(b) - value(a)))) {
    if (!front.length || sign * value(at) > sign * value(front[front.length - 1])) front.push(at);
  }
  const seen = front.filter((at) => clip(study, end, value(at)) === value(at));
  const name = { latency_1: "milliseconds for one image", macs: "multiply-adds per image", params: "parameters" }[cost];
  return {
    ...base(colours), xAxis: axis(colours, name, { type: "log", axisLabel: { color: colours.ink, formatter: compact, hideOverlap: true } }), yAxis: scoreAxis(study, colours),
    series: [
      scatter(study, "complete trials", known.map((at) => point(study, at, unit * own[cost][at], value(at), end)), colours.grey),
      { type: "line", name: "Pareto front", data: seen.map((at) => ({ value: [unit * own[cost][at], value(at)], at })), symbolSize: 8, itemStyle: { color: colours.blue }, lineStyle: { color: colours.blue },
        label: { show: true, position: "top", color: colours.ink, formatter: (given) => String(own.number[given.data.at]) },
        tooltip: { formatter: (given) => trialText(study, given.data.at, [`${name} ${compact(given.value[0])}`]) } },
    ],
  };
}

function calibration(study, colours) {
  const rows = study.mistakes ? study.mistakes.calibration : [];
  const percent = { color: colours.ink, formatter: (value) => `${Math.round(100 * value)}%` };
  return {
    ...base(colours), xAxis: axis(colours, "predicted probability", { min: 0, max: 1, axisLabel: percent }), yAxis: axis(colours, "right predictions", { min: 0, max: 1, nameGap: 40, axisLabel: percent }),
    series: [
      { type: "line", name: "as probable as predicted", symbol: "none", data: [[0, 0], [1, 1]], lineStyle: { color: colours.grey, type: "dashed" }, itemStyle: { color: colours.grey }, tooltip: { show: false } },
      { type: "line", name: "the best model", data: rows.map((row) => ({ value: [row.confidence, row.right], row })), itemStyle: { color: colours.blue }, lineStyle: { color: colours.blue },
        symbolSize: (value, given) => 6 + 12 * Math.sqrt(given.data.row.n / Math.max(...rows.map((row) => row.n))),
        tooltip: { formatter: (given) => `predicted ${(100 * given.data.row.confidence).toFixed(1)}%, right ${(100 * given.data.row.right).toFixed(1)}%\n${given.data.row.n} images` } },
    ],
  };
}

/* The option of the chart of this `kind`. */
function chartOption(kind, studies, place, colours, settings) {
  const study = studies[place];
  if (kind === "both") return both(studies, colours);
  if (kind.startsWith("tradeoff-")) return tradeoff(study, colours, kind.slice("tradeoff-".length));
  if (kind.startsWith("best-")) return trainingCurves(study, colours, study.best, kind.slice("best-".length));
  if (kind.startsWith("trial-")) return trainingCurves(study, colours, settings.number, kind.slice("trial-".length));
  return { history: searchHistory, curves, timeline, importance, effects, slices, parallel, calibration }[kind](study, colours, settings);
}
