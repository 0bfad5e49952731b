// plots: intervals, confusion matrices, merge weights, and the pictures that stage compare drew

function drawIntervals() {
  for (const task of data.tasks) {
    const panel = make("div", "panel", make("h3", "", `${task.name}: ${task.metric}`));
    const order = Object.entries(task.cells).sort(([, one], [, other]) => other.value - one.value);
    for (const [system, cell] of order) panel.append(bar(system, cell));
    const axis = make("div", "track", ...["0", "0.5", "1"].map((text) => make("span", "", text)));
    const last = make("div", "bar axis", make("span", ""), axis, make("span", ""));
    last.ariaHidden = "true";
    panel.append(last);
    byId("intervals").append(panel);
  }
}

function bar(system, cell) {
  const track = trackOf(cell.ci[0], cell.value, cell.ci[1]);
  track.classList.add("halved");
  const row = make("div", "bar", make("span", "name", system), track, make("span", "number", fixed(cell.value)));
  row.title = `${system}: ${fixed(cell.value)}, ${data.interval} ${range(cell.ci)}`;
  return row;
}

function drawConfusion() {
  const tasks = data.tasks.filter((task) => Object.values(task.confusion).some((matrix) => matrix.gold.length));
  if (!tasks.length) return;
  const task = make("select", "");
  const system = make("select", "");
  const table = make("table", "heat");
  const note = make("p", "note");
  task.id = "confusion-task";
  system.id = "confusion-system";
  table.id = "confusion-table";
  const chosen = () => tasks.find((each) => each.name === task.value);
  const draw = () => {
    const unit = chosen().decoder === "tags" ? "words by entity type" : "rows by label";
    note.textContent = `Counts of ${unit}: gold in rows, answers in columns. The shade is the share of its row.`;
    drawMatrix(table, chosen().confusion[system.value]);
  };
  const refill = () => {
    const order = Object.entries(chosen().cells).sort(([, one], [, other]) => other.value - one.value);
    fill(system, order.map(([name]) => [name, name]), system.value);
    draw();
  };
  fill(task, tasks.map((each) => [each.name, each.name]));
  task.addEventListener("change", refill);
  system.addEventListener("change", draw);
  const filters = make("div", "filters", make("label", "", "Task ", task), make("label", "", "System ", system));
  const title = make("h3", "", "Which labels are confused");
  byId("confusion").append(make("div", "panel", title, note, filters, scrolled(table)));
  refill();
}

function drawMatrix(table, matrix) {
  const labels = matrix.answers.map((label) => heading(spaced(label), "col"));
  const head = make("tr", "", heading("gold ↓ answer →", "col"), ...labels);
  const body = matrix.gold.map((label, place) => {
    const counts = matrix.counts[place];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const row = make("tr", "", heading(spaced(label), "row"));
    row.append(
      ...counts.map((count, column) => {
        const cell = make("td", matrix.answers[column] === label ? "own" : "", count ? String(count) : "");
        cell.style.setProperty("--share", total ? count / total : 0);
        return cell;
      }),
    );
    return row;
  });
  table.replaceChildren(make("thead", "", head), make("tbody", "", ...body));
}

function drawMerges() {
  const { adapters, recipes } = data.merges;
  if (!recipes.length) return;
  const highest = Math.max(...recipes.flatMap((recipe) => recipe.weights.map(Math.abs)));
  const head = make("tr", "", heading("merge", "col"), ...adapters.map((adapter) => heading(adapter, "col")));
  const body = recipes.map((recipe) => {
    const row = make("tr", "", heading(recipe.name, "row", recipe.method));
    row.append(
      ...recipe.weights.map((weight) => {
        const cell = make("td", weight < 0 ? "negative" : "", weight === null ? "" : String(Number(weight.toPrecision(3))));
        cell.style.setProperty("--share", Math.abs(weight) / highest);
        return cell;
      }),
    );
    return row;
  });
  const table = scrolled(make("table", "heat", make("thead", "", head), make("tbody", "", ...body)));
  byId("merges").append(make("div", "panel", make("h3", "", "The weight of each adapter in each merge"), table));
}

function drawPictures() {
  for (const { title, text, source } of data.pictures ?? []) {
    const image = make("img", "");
    image.alt = text;
    image.src = source;
    byId("pictures").append(make("figure", "panel", make("figcaption", "", make("h3", "", title)), scrolled(image)));
  }
}
