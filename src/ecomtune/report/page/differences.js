// which differences are significant

function drawDifferences() {
  byId("differences-note").textContent =
    "The best system of each task compared with every other one on the same test rows: the difference with its " +
    `${data.interval}, and p, the probability of a difference at least as large if the two systems' answers are swapped in ` +
    `random groups of rows. ✓: significant, p below ${data.alpha}. Note: ${data.caveat}.`;
  for (const task of data.tasks) {
    if (!task.pairs.length) continue;
    const best = task.pairs[0].first;
    const against = task.pairs.filter((pair) => pair.first === best);
    const low = Math.min(0, ...against.map((pair) => pair.ci[0]));
    const high = Math.max(0, ...against.map((pair) => pair.ci[1]));
    const place = (value) => (high > low ? (value - low) / (high - low) : 0);
    const panel = make("div", "panel", make("h3", "", `${task.name}: ${best} is ahead of`));
    panel.append(...against.map((pair) => differenceBar(pair, place)), allPairs(task));
    byId("pairs").append(panel);
  }
}

function differenceBar(pair, place) {
  const zero = make("div", "zero");
  zero.style.left = `${100 * place(0)}%`;
  const track = trackOf(place(pair.ci[0]), place(pair.difference), place(pair.ci[1]));
  track.prepend(zero);
  const number = make("span", "number", signed(pair.difference));
  return make("div", "bar difference", make("span", "name", pair.second), track, number, chance(pair, "span"));
}

const isSignificant = (pair) => pair.p_holm < data.alpha;

function chance(pair, tag) {
  const text = `p ${pair.p_holm.toFixed(4)}`;
  return make(tag, isSignificant(pair) ? "chance right" : "chance muted", isSignificant(pair) ? `✓ ${text}` : text);
}

function allPairs(task) {
  const names = ["ahead", "of", "by", data.interval, "p, corrected"];
  const head = make("tr", "", ...names.map((name) => heading(name, "col")));
  const body = task.pairs.map((pair) => {
    const texts = [signed(pair.difference), `${signed(pair.ci[0])} to ${signed(pair.ci[1])}`];
    const second = make("td", "text", pair.second);
    return make("tr", "", heading(pair.first, "row"), second, ...texts.map((text) => make("td", "", text)), chance(pair, "td"));
  });
  const table = scrolled(make("table", "", make("thead", "", head), make("tbody", "", ...body)));
  return make("details", "", make("summary", "", `all ${task.pairs.length} pairs of ${task.name}`), table);
}
