// the example browser

const state = { task: data.tasks[0], rows: [], at: 0 };

/** The text of each row, in lower case, that the search looks through. */
const haystacks = new Map();

function haystack(row) {
  if (!haystacks.has(row)) {
    const texts = [row.id, ...Object.values(row.fields), row.gold, ...Object.values(row.answers).map((answer) => answer[2])];
    haystacks.set(row, texts.flat().join(" ").toLowerCase());
  }
  return haystacks.get(row);
}

const joined = (value) => (Array.isArray(value) ? value.join(" ") : value);

/** The title of a row: the words of a query, or the first text of its first field. */
function title(row) {
  const [first] = Object.values(row.fields);
  return state.task.decoder === "tags" ? joined(first) : [first].flat()[0];
}

/** The answers of the chosen system, or of all. */
function answersOf(row) {
  const system = byId("system").value;
  return system ? [row.answers[system]] : Object.values(row.answers);
}

function mean(row) {
  const answers = answersOf(row);
  return answers.reduce((sum, answer) => sum + answer[1], 0) / answers.length;
}

function countOf(outcome) {
  return state.task.rows.filter((row) => answersOf(row).some((answer) => answer[0] === outcome)).length;
}

function chooseTask() {
  state.task = data.tasks.find((task) => task.name === byId("task").value);
  const systems = Object.keys(state.task.cells);
  fill(byId("system"), [["", "any system"], ...systems.map((name) => [name, name])], byId("system").value);
  chooseSystem();
}

function chooseSystem() {
  const outcomes = Object.keys(OUTCOMES).map((outcome) => [outcome, `${outcome} (${countOf(outcome)})`]);
  fill(byId("outcome"), [["", "any outcome"], ...outcomes], byId("outcome").value);
  filter();
}

function filter() {
  const outcome = byId("outcome").value;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const order = {
    data: () => 0,
    lowest: (one, other) => mean(one) - mean(other),
    highest: (one, other) => mean(other) - mean(one),
  };
  state.rows = state.task.rows
    .filter((row) => !outcome || answersOf(row).some((answer) => answer[0] === outcome))
    .filter((row) => words.every((word) => haystack(row).includes(word)))
    .sort(order[byId("order").value]);
  byId("rows").replaceChildren(...state.rows.map(listed));
  show(0);
}

function listed(row, place) {
  const answers = answersOf(row);
  const right = answers.filter((answer) => answer[0] === "right").length;
  const [outcome] = answers[0];
  const all = make("span", "muted", `${right}/${answers.length} ✓`);
  const mark = byId("system").value ? make("span", outcome, OUTCOMES[outcome][0]) : all;
  const texts = Object.values(row.fields).slice(0, 2).map(joined);
  const made = make("li", "", dataText("span", "", texts.join(" · ")), mark);
  made.id = `row-${place}`;
  made.role = "option";
  return made;
}

function show(place) {
  const list = byId("rows");
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  state.at = Math.max(0, Math.min(place, state.rows.length - 1));
  const chosen = list.children[state.at];
  if (chosen) {
    chosen.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", chosen.id);
    const end = chosen.offsetTop + chosen.offsetHeight;
    list.scrollTop = Math.min(chosen.offsetTop, Math.max(list.scrollTop, end - list.clientHeight));
  } else {
    list.removeAttribute("aria-activedescendant");
  }
  byId("previous").disabled = state.at === 0;
  byId("next").disabled = state.at >= state.rows.length - 1;
  const found = state.rows.length;
  byId("status").textContent = found ? `${state.at + 1} of ${found}` : "No row matches: change a filter.";
  drawRow(state.rows[state.at]);
}

function drawRow(row) {
  if (row === undefined) {
    byId("row").replaceChildren();
    return;
  }
  const fields = make("dl", "");
  for (const [name, value] of Object.entries(row.fields)) {
    if (!(state.task.decoder === "tags" && Array.isArray(value))) fields.append(make("dt", "", name), field(value));
  }
  const chosen = byId("system").value;
  const names = Object.keys(row.answers).sort((one, other) => (other === chosen) - (one === chosen));
  const answers = make("div", "answers", goldCard(row), ...names.map((name) => answerCard(row, name, name === chosen)));
  const note = "Shortened on this page: the full texts are in data/examples and data/predictions.";
  const cut = row.cut ? make("p", "note", note) : null;
  byId("row").replaceChildren(
    make("h3", "", dataText("span", "", title(row)), " ", make("span", "muted", row.id)),
    ...[fields.childElementCount ? fields : null, cut, answers, legend()].filter((part) => part !== null),
  );
}

function field(value) {
  if (!Array.isArray(value)) return dataText("dd", "", value);
  return make("dd", "", make("ul", "", ...value.map((item) => dataText("li", "", item))));
}

function goldCard(row) {
  return make("section", "answer gold", make("header", "", make("h3", "", "gold")), ...parsed(row, row.gold));
}

function answerCard(row, name, chosen) {
  const [outcome, score, shown] = row.answers[name];
  const scored = state.task.decoder === "label" ? "" : ` ${score.toFixed(2)}`;
  const head = make("header", "", make("h3", "", name), make("span", outcome, OUTCOMES[outcome] + scored));
  const body = outcome === "malformed" ? [dataText("p", "shown raw", shown || "(empty)")] : parsed(row, shown);
  return make("section", chosen ? "answer chosen" : "answer", head, ...body);
}

/** Gold or a parsed answer: a label, texts, or words marked with their entities. */
function parsed(row, value) {
  if (state.task.decoder !== "tags") return [value].flat().map((text) => dataText("p", "shown", text));
  const gold = new Set(entities(row.gold).map(String));
  const words = row.fields.words;
  const line = make("div", "entities");
  let place = 0;
  for (const [start, end, type] of entities(value)) {
    line.append(...words.slice(place, start).map((word) => dataText("span", "outside", word)));
    line.append(entity(type, words.slice(start, end).join(" "), !gold.has(String([start, end, type]))));
    place = end;
  }
  line.append(...words.slice(place).map((word) => dataText("span", "outside", word)));
  return [line];
}

/** Start, end and type of every entity of IOB2 tags. */
function entities(tags) {
  const found = [];
  tags.forEach((tag, place) => {
    const last = found[found.length - 1];
    if (tag.startsWith("B-")) found.push([place, place + 1, tag.slice(2)]);
    else if (tag.startsWith("I-") && last && last[1] === place) last[1] = place + 1;
  });
  return found;
}

const types = [...new Set(data.tasks.filter((task) => task.decoder === "tags").flatMap(typesOf))].sort();

function typesOf(task) {
  const tags = task.rows.flatMap((row) => [row.gold, ...Object.values(row.answers).map((answer) => answer[2])]);
  return tags.filter(Array.isArray).flatMap((each) => entities(each).map((entity) => entity[2]));
}

function entity(type, words, other) {
  const made = make("span", other ? "entity other" : "entity", words === null ? null : dataText("span", "", words));
  made.append(make("span", words === null ? "" : "muted", spaced(type)));
  made.style.setProperty("--hue", Math.round((360 * types.indexOf(type)) / types.length));
  return made;
}

function legend() {
  if (state.task.decoder !== "tags" || !types.length) return null;
  const own = new Set(typesOf(state.task));
  const items = types.filter((type) => own.has(type)).map((type) => make("li", "", entity(type, null, false)));
  const other = make("li", "", make("span", "entity other", "dashed: not in gold"));
  const list = make("ul", "legend", ...items, other);
  list.ariaLabel = "Legend: entity types";
  return list;
}

const IN_LIST = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** The left and right arrows step through the rows unless the focused element uses them; up and down do so in the list. */
function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const inList = event.target === byId("rows");
  if (!inList && event.target.closest("input, select, textarea, .scroll")) return;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ...(inList ? IN_LIST : {}) };
  if (!(event.key in steps)) return;
  event.preventDefault();
  show(state.at + steps[event.key]);
}

function drawExamples() {
  if (!state.task) return;
  const parts = data.tasks
    .filter((task) => task.rows.length < task.total)
    .map((task) => `the first ${task.rows.length} of ${task.total} rows of ${task.name}`);
  byId("examples-note").textContent =
    "The test rows with gold and every system's answer. An answer is right if it equals gold; the number next to an " +
    "outcome is the main metric of that answer by itself. The arrow keys ← and → step through the rows." +
    (parts.length ? ` This page holds ${parts.join(", ")}.` : "");
  fill(byId("task"), data.tasks.map((task) => [task.name, task.name]));
  fill(byId("order"), [["data", "as in the data"], ["lowest", "lowest score first"], ["highest", "highest score first"]]);
  byId("task").addEventListener("change", chooseTask);
  byId("system").addEventListener("change", chooseSystem);
  byId("outcome").addEventListener("change", filter);
  byId("order").addEventListener("change", filter);
  byId("search").addEventListener("input", filter);
  byId("reset").addEventListener("click", () => {
    byId("system").value = byId("outcome").value = byId("search").value = "";
    byId("order").value = "data";
    chooseSystem();
  });
  byId("previous").addEventListener("click", () => show(state.at - 1));
  byId("next").addEventListener("click", () => show(state.at + 1));
  byId("rows").addEventListener("click", (event) => {
    const place = [...byId("rows").children].indexOf(event.target.closest("li"));
    if (place >= 0) show(place);
  });
  document.addEventListener("keydown", onKey);
  chooseTask();
}

drawSources();
drawComparison();
drawCosts();
drawDifferences();
drawIntervals();
drawConfusion();
drawMerges();
drawPictures();
drawExamples();
