"use strict";

// Everything that comes from data becomes a text node or a property of an element: nothing here writes markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const OUTCOMES = { right: "✓ right", wrong: "✗ wrong", malformed: "! malformed" };

/** An element with a class, and children that are elements or texts. */
function make(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A text from data; with its own direction, right-to-left text doesn't rearrange the text around it. */
function dataText(tag, name, text) {
  const made = make(tag, name, text);
  made.dir = "auto";
  return made;
}

function heading(text, scope, more = null) {
  const made = make("th", "", text, more === null ? null : make("span", "muted", more));
  made.scope = scope;
  return made;
}

function fill(select, options, chosen = "") {
  select.replaceChildren(
    ...options.map(([value, text]) => {
      const option = make("option", "", text);
      option.value = value;
      return option;
    }),
  );
  select.value = options.some(([value]) => value === chosen) ? chosen : options[0][0];
}

/** A table in a frame of its own, which scrolls if the page is too narrow. */
function scrolled(table) {
  const frame = make("div", "scroll", table);
  frame.tabIndex = 0;
  return frame;
}

/** An interval and a point on a line, as shares of its width. */
function trackOf(low, value, high) {
  const line = make("div", "range");
  line.style.left = `${100 * low}%`;
  line.style.width = `${100 * (high - low)}%`;
  const point = make("div", "point");
  point.style.left = `${100 * value}%`;
  return make("div", "track", line, point);
}

const fixed = (value) => value.toFixed(3);
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
const range = ([low, high]) => `${low.toFixed(2)}–${high.toFixed(2)}`;
const spaced = (name) => name.replaceAll("_", " ");

// where the rows come from

function drawSources() {
  const warnings = data.made_up === null ? [] : [make("p", "notice", make("strong", "", "Made-up data: "), data.made_up)];
  byId("sources").append(...warnings, ...data.sources.map((text) => make("p", "muted", text)));
}

// comparison

function drawComparison() {
  const systems = data.systems.length;
  byId("about").textContent =
    `${systems} ${systems === 1 ? "system" : "systems"} on ${data.tasks.map((task) => task.name).join(", ")}. ` +
    "Everything on this page is in this one file.";
  byId("comparison-note").textContent =
    `Main metric of each task with its ${data.interval} over groups of rows (a query, a product). ` +
    "Bold: the highest value. Two systems may differ significantly even if their intervals overlap: see the next section.";
  const head = make("tr", "", heading("system", "col"));
  for (const task of data.tasks) {
    const cell = Object.values(task.cells)[0];
    head.append(heading(task.name, "col", `${task.metric}; ${cell.n} rows, ${cell.groups} groups`));
  }
  const body = data.systems.map((system) => {
    const row = make("tr", "", heading(system, "row"));
    row.append(...data.tasks.map((task) => comparisonCell(task, task.cells[system])));
    return row;
  });
  byId("comparison-table").append(make("thead", "", head), make("tbody", "", ...body));
  byId("comparison-note").after(...data.warnings.map((text) => make("p", "notice", text)));
}

function comparisonCell(task, cell) {
  if (cell === undefined) return make("td", "muted", "–");
  const best = cell.value === Math.max(...Object.values(task.cells).map((other) => other.value));
  const malformed = cell.invalid ? make("span", "muted", `${cell.invalid} malformed`) : null;
  const value = make("span", "value", fixed(cell.value));
  return make("td", best ? "best" : "", value, make("span", "muted", range(cell.ci)), malformed);
}

// costs

function drawCosts() {
  byId("costs-note").textContent =
    "Floating-point operations of an answer: two for each weight and token; work that a batch shares counts for each answer. " +
    "Bold: no other system is at least as good for no more operations.";
  const head = make("tr", "", ...data.costs.header.map((name) => heading(name, "col")));
  const body = data.costs.rows.map(([unbeaten, task, system, ...numbers]) => {
    const cells = numbers.map((text) => make("td", "", text));
    return make("tr", unbeaten ? "best" : "", heading(task, "row"), make("td", "text", system), ...cells);
  });
  byId("costs-table").append(make("thead", "", head), make("tbody", "", ...body));
  byId("costs-remarks").append(...data.costs.remarks.map((text) => make("li", "", text)));
}
