"use strict";
/* The page of a report: draws its charts, and makes the leaderboard, a trial's own section and the mistakes.
   All texts of the data reach the page by `textContent` and attributes, never as HTML. */

let studies = JSON.parse(document.getElementById("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
const settings = new Map();
let printing = false;

/* An element with attributes and children; `on` is called when it is clicked. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/* -- charts ------------------------------------------------------------------------------------ */

function settingsOf(figure) {
  const key = `${figure.dataset.kind} ${figure.dataset.study}`;
  if (!settings.has(key)) settings.set(key, {});
  return settings.get(key);
}

/* Makes the place of a chart, with its controls, so that nothing moves when the chart is drawn. */
function prepare(figure) {
  if (figure.querySelector(".drawing")) return;
  const study = studies[Number(figure.dataset.study)], kind = figure.dataset.kind;
  const area = el("div", { class: "drawing", role: "img", "aria-label": figure.dataset.alt });
  const tools = chartTools(figure, study, kind);
  figure.prepend(...(tools ? [tools] : []), area);
  if (["parallel", "timeline", "curves", "effects", "history"].includes(kind)) figure.classList.add("wide");
  const rows = kind === "effects" ? Math.min(18, study.effects.length) : kind === "importance" ? Math.min(15, study.importance.length) : 0;
  if (rows) area.style.height = `${90 + 22 * rows}px`;
  if (kind === "timeline") area.style.height = `${110 + 22 * Math.min(12, atOnce(study))}px`;
}

function draw(figure) {
  const place = Number(figure.dataset.study), study = studies[place], kind = figure.dataset.kind;
  const area = figure.querySelector(".drawing");
  const old = drawn.get(figure);
  if (old) old.dispose();
  const chart = echarts.init(area, null, { renderer: "canvas" });
  chart.setOption(chartOption(kind, studies, place, palette(dark.matches && !printing), settingsOf(figure)));
  chart.on("click", (given) => {
    if (given.data && typeof given.data === "object" && given.data.at !== undefined) openTrial(place, study.trials.number[given.data.at]);
  });
  drawn.set(figure, chart);
}

/* The controls above a chart: which axis, or which hyperparameter. */
function chartTools(figure, study, kind) {
  const own = settingsOf(figure);
  if (kind === "history") {
    own.x = own.x || "trial";
    return el("div", { class: "tools" }, choice("Across", [["trial", "trials"], ["time", "time"], ["epochs", "epochs"]], own.x, (value) => { own.x = value; draw(figure); }));
  }
  if (kind === "slices") {
    const order = study.importance.map((row) => row.name);
    const names = [...order, ...study.names.filter((name) => !order.includes(name))];
    own.name = own.name || names[0];
    return el("div", { class: "tools" }, choice("Hyperparameter", names.map((name) => [name, name]), own.name, (value) => {
      own.name = value;
      figure.querySelector(".drawing").setAttribute("aria-label", `${study.metric} against ${value}`);
      draw(figure);
    }));
  }
  return null;
}

function choice(label, options, value, change) {
  const select = el("select", {}, options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  select.addEventListener("change", () => change(select.value));
  return el("label", {}, label, select);
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
  }
}, { rootMargin: "300px" });

function watchCharts(root) {
  for (const figure of root.querySelectorAll("figure.chart")) {
    prepare(figure);
    watcher.observe(figure);
  }
}

function redraw() {
  for (const figure of [...drawn.keys()]) {
    if (figure.isConnected) draw(figure);
    else {
      drawn.get(figure).dispose();
      drawn.delete(figure);
    }
  }
}

/* -- the leaderboard --------------------------------------------------------------------------- */

const COLUMNS = [
  ["rank", "rank"], ["number", "trial"], ["state", "state"], ["score", "score"], ["mean", "mean over seeds"], ["tie", "tie"],
  ["params", "parameters"], ["macs", "multiply-adds"], ["latency_1", "1 image, ms"], ["best_epoch", "best epoch"], ["epochs", "epochs"], ["seconds", "time"], ["origin", "origin"],
];
const PAGE = 25;
const boards = new Map();
const TESTS = {
  "=": (a, b) => a !== null && (String(a) === b || (b !== "" && Number(a) === Number(b))),
  "≠": (a, b) => a !== null && !TESTS["="](a, b),
  "≥": (a, b) => a !== null && Number(a) >= Number(b),
  "≤": (a, b) => a !== null && Number(a) <= Number(b),
  contains: (a, b) => a !== null && String(a).toLowerCase().includes(b.toLowerCase()),
};

function board(place) {
  if (!boards.has(place)) boards.set(place, { sort: "rank", down: false, filters: [], all: false, count: PAGE });
  return boards.get(place);
}

/* The key of a hyperparameter's column. A hyperparameter may have the name of a trial's column, such as `epochs`. */
const CHOICE = "choice:";

function choiceOf(study, name, at) {
  const value = study.choices[name][at];
  return value === undefined ? null : value;
}

function valueOf(study, key, at) {
  if (key.startsWith(CHOICE)) return choiceOf(study, key.slice(CHOICE.length), at);
  const value = study.trials[key][at];
  return value === undefined ? null : value;
}

function cellText(study, name, at) {
  const own = study.trials, value = valueOf(study, name, at);
  if (value === null) return "";
  if (name === "score") return score(study, value);
  if (name === "mean") return `${score(study, value)}${interval(study, at)}`;
  if (name === "tie") return own.number[at] === study.best ? "first" : value ? "tie" : "";
  if (name === "params" || name === "macs") return value.toLocaleString("en");
  if (name === "latency_1") return (1000 * value).toFixed(2);
  if (name === "seconds") return value ? duration(value) : "";
  return String(value);
}

function sorted(study, own) {
  const found = places(study, (at) => own.filters.every(({ name, test, value }) => TESTS[test](valueOf(study, name, at), value)));
  const key = (at) => valueOf(study, own.sort, at);
  const empty = (at) => key(at) === null || key(at) === "";
  return found.sort((a, b) => {
    if (empty(a) || empty(b)) return empty(a) - empty(b) || a - b;
    const [one, other] = [key(a), key(b)];
    const order = typeof one === typeof other && typeof one !== "string" ? one - other : String(one).localeCompare(String(other));
    return (own.down ? -order : order) || a - b;
  });
}

function showBoard(widget, focus = "") {
  const place = Number(widget.dataset.study), study = studies[place], own = board(place);
  const columns = COLUMNS.filter(([name]) => study.trials[name].some((value) => value !== null && value !== "" && value !== false));
  const important = study.importance.filter((row) => row.above).map((row) => row.name);
  const names = own.all ? study.names : (important.length ? important : study.names).slice(0, 3);
  const headings = [...columns, ...names.map((name) => [CHOICE + name, name])];
  const rows = sorted(study, own);
  const shown = rows.slice(0, own.count);
  const again = (key) => showBoard(widget, key);

  const head = headings.map(([name, label]) => {
    const active = own.sort === name;
    const sort = active ? (own.down ? "descending" : "ascending") : null;
    const button = el("button", { type: "button", "data-key": `sort ${name}`, on: () => {
      own.down = active ? !own.down : ["score", "mean"].includes(name) && study.maximize;
      own.sort = name;
      again(`sort ${name}`);
    } }, label, el("span", { "aria-hidden": "true" }, active ? (own.down ? " ▼" : " ▲") : ""));
    return el("th", { scope: "col", "aria-sort": sort }, button);
  });
  const body = shown.map((at) => el("tr", { class: study.trials.number[at] === study.best ? "best" : null }, headings.map(([name]) => {
    const number = study.trials.number[at];
    if (name === "number") return el("td", {}, el("button", { type: "button", "aria-label": `open trial ${number}`, on: () => openTrial(place, number) }, String(number)));
    const text = cellText(study, name, at);
    return el("td", { class: typeof valueOf(study, name, at) === "number" ? "right" : null }, text);
  })));
  const more = rows.length > shown.length
    ? el("button", { type: "button", "data-key": "more", on: () => { own.count += 10 * PAGE; again("more"); } }, `Show more of ${rows.length.toLocaleString("en")} rows`)
    : null;
  const part = study.trials.number.length < study.all_trials ? ` The page has the first ${study.trials.number.length.toLocaleString("en")} of ${study.all_trials.toLocaleString("en")} trials.` : "";
  widget.classList.add("board");
  widget.replaceChildren(
    boardTools(widget, study, own),
    el("p", { class: "note", role: "status" }, `${rows.length.toLocaleString("en")} of ${study.trials.number.length.toLocaleString("en")} trials.${part} Choose a heading to sort, and a trial's number to open it.`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Leaderboard of ${study.study}` },
      el("table", {}, el("caption", { class: "hidden-text" }, `Trials of ${study.study}`), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body))),
    more || "",
  );
  if (focus) {
    const target = [...widget.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focus);
    if (target) target.focus();
  }
}

/* The controls of a leaderboard: filters by any column or hyperparameter, and all hyperparameters as columns. */
function boardTools(widget, study, own) {
  const again = (key) => { own.count = PAGE; showBoard(widget, key); };
  const options = (texts) => texts.map(([value, text]) => el("option", { value }, text));
  const name = el("select", {}, options(COLUMNS.filter(([key]) => key !== "tie")), study.names.length ? el("optgroup", { label: "hyperparameters" }, options(study.names.map((one) => [CHOICE + one, one]))) : null);
  const test = el("select", {}, options(Object.keys(TESTS).map((one) => [one, one])));
  const value = el("input", { type: "text", size: "10" });
  name.value = own.name || (study.names.length ? CHOICE + study.names[0] : "state");
  test.value = own.test || "=";
  const add = () => {
    own.name = name.value;
    own.test = test.value;
    own.filters.push({ name: name.value, label: name.selectedOptions[0].textContent, test: test.value, value: value.value.trim() });
    again("filter");
  };
  const form = el("form", { class: "tools", "aria-label": `Filter the trials of ${study.study}` },
    el("label", {}, "Show only where", name), el("label", {}, "is", test), el("label", {}, "value", value),
    el("button", { type: "submit", "data-key": "filter" }, "Filter"));
  form.addEventListener("submit", (event) => { event.preventDefault(); add(); });
  own.filters.forEach((filter, at) => {
    const text = `${filter.label} ${filter.test} ${filter.value}`;
    form.append(el("button", { type: "button", "aria-label": `remove the filter ${text}`, on: () => { own.filters.splice(at, 1); again("filter"); } }, `${text} ×`));
  });
  const box = el("input", { type: "checkbox", "data-key": "all", checked: own.all });
  box.addEventListener("change", () => { own.all = box.checked; again("all"); });
  form.append(el("label", { class: "line" }, box, "all hyperparameters"));
  return form;
}

/* -- a trial's own section --------------------------------------------------------------------- */

function openTrial(place, number) {
  const target = `#trial-${place}-${number}`;
  if (here() === target) showTrial();
  else goTo(target);
}

/* In a notebook the page is in a frame without an address of its own: #leaderboard would lead to the notebook itself. */
const framed = location.protocol === "about:";
let frameHash = "";

function here() {
  return framed ? frameHash : location.hash;
}

function goTo(hash) {
  if (!framed) {
    location.hash = hash;
    return;
  }
  frameHash = hash;
  showTrial();
  const target = document.getElementById(hash.slice(1));
  if (target) target.scrollIntoView();
}

function followLink(event) {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  goTo(link.getAttribute("href"));
}

function showTrial() {
  const found = /^#trial-(\d+)-(\d+)$/.exec(here());
  const box = document.getElementById("trial");
  const study = found && studies[Number(found[1])];
  const at = study ? study.trials.number.indexOf(Number(found[2])) : -1;
  box.hidden = at < 0;
  if (at < 0) {
    box.replaceChildren();
    return;
  }
  const heading = trialSection(box, Number(found[1]), at);
  watchCharts(box);
  box.scrollIntoView({ block: "start" });
  heading.focus({ preventScroll: true });
}

/* Where `cnnsearch ui` serves MLflow, unless it is given another port. */
const MLFLOW = "http://127.0.0.1:5000/";

function trialSection(box, place, at) {
  const study = studies[place], own = study.trials, number = own.number[at];
  const heading = el("h2", { tabindex: "-1" }, `Trial ${number}${studies.length > 1 ? ` of ${study.study}` : ""}`);
  const facts = COLUMNS.filter(([name]) => name !== "number").map(([name, label]) => [label, cellText(study, name, at)]).filter(([, text]) => text);
  if (own.reason[at]) facts.push(["reason", own.reason[at]]);
  facts.push(["seed", String(own.seed[at])]);
  const charts = study.histories[number] ? ["loss", "accuracy"].filter((name) => study.histories[number][name]) : [];
  const figures = charts.map((name) => el("figure", { class: "chart", "data-kind": `trial-${name}`, "data-study": place, "data-number": number, "data-alt": `${name} of trial ${number} in training and validation` }, el("figcaption", {}, `${name[0].toUpperCase()}${name.slice(1)}`)));
  for (const figure of figures) settings.set(`${figure.dataset.kind} ${place}`, { number });
  const choices = study.names.filter((name) => choiceOf(study, name, at) !== null);
  const compared = Object.keys(study.default).length > 0;
  const changed = (name) => name in study.default && study.default[name] !== study.choices[name][at];
  const name = `${study.study}${study.options}`;
  const commands = [
    ["Train this trial again from its seed:", `cnnsearch reproduce ${number} ${name}`],
    ...(study.tested ? [["Export its model, and evaluate it once on the test set:", `cnnsearch export --trial ${number} ${name}`]] : []),
    ["Measure the effect of one hyperparameter:", `cnnsearch compare ${name} --by NAME --controlled`],
    [`Start MLflow's pages. The run of this trial has the tag cnnsearch.trial = ${number}:`, "cnnsearch ui"],
  ];
  const close = el("button", { type: "button", on: closeTrial }, "Close");
  box.replaceChildren(
    heading, close,
    el("div", { class: "pair" },
      plainTable("What is known of this trial", ["what", "value"], facts),
      choices.length ? plainTable("Hyperparameters", ["hyperparameter", "value", ...(compared ? ["default point"] : [])], choices.map((one) => [one, String(study.choices[one][at]), ...(compared ? [changed(one) ? String(study.default[one]) : one in study.default ? "the same" : "not used"] : [])])) : ""),
    el("div", { class: "charts" }, figures),
    study.plans[number] ? el("h3", {}, "Layers") : "",
    study.plans[number] ? el("ol", { class: "layers" }, study.plans[number].map(([stage, layers]) => el("li", {}, el("b", {}, stage), el("ol", {}, layers.map((layer) => el("li", {}, layer)))))) : "",
    ...(study.logs[number] ? [el("h3", {}, "Log"), el("pre", { class: "log", tabindex: "0", role: "region", "aria-label": `Log of trial ${number}` }, study.logs[number])] : []),
    study.runs[number] ? el("p", {}, el("a", { href: `${MLFLOW}#/${study.runs[number]}`, target: "_blank", rel: "noopener" }, `Trial ${number} in MLflow`), el("span", { class: "note" }, " while cnnsearch ui runs")) : "",
    ...(own.score[at] === null ? [] : commands.flatMap(([purpose, line]) => [el("p", { class: "note" }, purpose), el("pre", {}, el("code", {}, line))])),
  );
  // the last lines say most
  for (const log of box.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  return heading;
}

function closeTrial() {
  goTo("#leaderboard");
}

function plainTable(caption, header, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", {},
    el("caption", {}, caption), el("thead", {}, el("tr", {}, header.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
}

/* -- mistakes ---------------------------------------------------------------------------------- */

/* Makes each cell of the confusion matrix that has images a button, which shows them. */
function showMistakes(widget) {
  const study = studies[Number(widget.dataset.study)], table = widget.querySelector("table.heat");
  if (!table || !study.mistakes || table.dataset.ready) return;
  table.dataset.ready = "yes";
  const { classes, images } = study.mistakes;
  const place = el("div", { class: "images", "aria-live": "polite" });
  [...table.tBodies[0].rows].forEach((row, truth) => {
    [...row.cells].slice(1).forEach((cell, predicted) => {
      const own = images.filter((image) => image.true === truth && image.predicted === predicted);
      if (!own.length) return;
      const words = `${cell.textContent.trim()} images of ${classes[truth]}, predicted ${classes[predicted]}: show them`;
      const button = el("button", { type: "button", "aria-label": words, on: () => place.replaceChildren(...own.map((image) => picture(classes, image))) }, cell.textContent.trim());
      cell.replaceChildren(button);
    });
  });
  table.closest(".scroll").after(place);
}

function picture(classes, image) {
  const text = `${classes[image.true]}, predicted ${classes[image.predicted]} (${Math.round(100 * image.confidence)}%)`;
  return el("figure", {}, el("img", { src: image.address, alt: text }), el("figcaption", {}, text));
}

/* -- the page ---------------------------------------------------------------------------------- */

function showWidgets(root) {
  for (const widget of root.querySelectorAll("[data-widget]")) {
    if (widget.dataset.widget === "leaderboard") showBoard(widget);
    else showMistakes(widget);
  }
}

function showAll() {
  showWidgets(document);
  watchCharts(document);
  showTrial();
}

/* A live page: the server tells when the study has changed; then the new page takes the place of this one. */
function follow() {
  const status = document.getElementById("status");
  const events = new EventSource("events");
  events.onmessage = async (event) => {
    const told = JSON.parse(event.data);
    status.textContent = told.text;
    if (told.changed) await update();
  };
  events.onerror = () => { status.textContent = "The server of this page has stopped. The page shows what was known last."; };
}

/* New sections by their ids. Each waits until its old section loses the focus. */
const pending = new Map();
const CLICK = 300;

function replaceSection(old, section) {
  const open = old.querySelector("details[open]") !== null;
  old.replaceChildren(...section.childNodes);
  for (const details of open ? old.querySelectorAll("details") : []) details.open = true;
}

function replacePending() {
  for (const [id, section] of [...pending]) {
    const old = document.getElementById(id);
    if (old.contains(document.activeElement)) continue;
    pending.delete(id);
    replaceSection(old, section);
    showWidgets(old);
    redraw();
    watchCharts(old);
  }
}

async function update() {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  studies = JSON.parse(page.getElementById("data").textContent);
  document.title = page.title;
  document.querySelector("header > div:last-child").replaceWith(page.querySelector("header > div:last-child"));
  for (const section of page.querySelectorAll("main > section")) {
    const old = document.getElementById(section.id);
    if (!old) continue;
    if (old.contains(document.activeElement)) pending.set(section.id, section);
    else {
      pending.delete(section.id);
      replaceSection(old, section);
    }
  }
  for (const widget of document.querySelectorAll('[data-widget="leaderboard"]')) {
    const focus = widget.contains(document.activeElement) ? document.activeElement : null;
    // what the reader is typing stays
    if (!focus || !focus.matches("input[type=text], select")) showBoard(widget, focus ? focus.dataset.key || "" : "");
  }
  for (const widget of document.querySelectorAll('[data-widget="mistakes"]')) showMistakes(widget);
  redraw();
  watchCharts(document);
}

dark.addEventListener("change", redraw);
window.addEventListener("resize", () => { for (const chart of printing ? [] : drawn.values()) chart.resize(); });
window.addEventListener("hashchange", showTrial);
if (framed) document.addEventListener("click", followLink);
// a click that moves the focus ends first
document.addEventListener("focusout", () => { setTimeout(replacePending, CLICK); });
window.addEventListener("beforeprint", () => {
  printing = true;
  for (const figure of document.querySelectorAll("figure.chart")) draw(figure);
});
window.addEventListener("afterprint", () => { printing = false; redraw(); });
showAll();
if ("live" in document.body.dataset) follow();
