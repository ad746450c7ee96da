// A row of the table of trials opens to the trial's curves, config and error, and to the command that trains it again.
const ofTrials = document.getElementById("trials-table");
let unpackedTrials;
const trialsData = () => (unpackedTrials ??= unpacked("opened").then(JSON.parse));

const element = (tag, properties = {}, ...content) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
};
const inWords = (values) => Object.entries(values).map(([name, value]) => `${name} ${value}`).join(", ");
const folded = (title, text) => element("details", {}, element("summary", {}, title), element("pre", {}, text));

// A line for each split and seed: val in the method's colour, train grey, target a broad pale grey.
const curves = (place, metric, of, { layout, dashes, whole, symbols }) => () => {
  const { seeds, splits, best } = of.curves;
  const style = getComputedStyle(place);
  const [colour, grey] = ["--method", "--axis"].map((name) => style.getPropertyValue(name).trim());
  const looks = { val: { color: colour, width: 1.8 }, train: { color: grey, width: 1.4 }, target: { color: grey, width: 4 } };
  const scale = metric === "loss" ? 1 : whole;
  const data = [];
  for (const split of ["target", "train", "val"].filter((each) => splits[each])) {
    splits[split][metric].forEach((values, i) => {
      const y = values.map((value) => (value === null ? null : value / scale));
      const x = y.map((_, epoch) => epoch + 1);
      data.push({
        x, y, mode: y.length > 1 ? "lines" : "markers", showlegend: false, opacity: split === "target" ? 0.45 : 1,
        line: { ...looks[split], dash: dashes[i % dashes.length] }, marker: { color: looks[split].color, size: 6 },
        hovertemplate: `${split}, seed ${seeds[i]}, epoch %{x}: %{y:.4g}<extra></extra>`,
      });
      const at = best?.[i];
      if (split === "val" && at) {
        const marker = { color: colour, size: 9, symbol: symbols[of.method], line: { color: style.color, width: 1 } };
        data.push({ x: [at], y: [y[at - 1]], mode: "markers", showlegend: false, hoverinfo: "skip", marker });
      }
    });
  }
  const range = metric === "loss" ? {} : { range: [-0.03, 1.03], autorange: false };
  const epochs = Math.max(...data.map(({ x }) => x.length));
  const ticks = epochs > 12 ? {} : { dtick: 1 };
  return { data, layout: { ...layout, xaxis: { ...layout.xaxis, ...ticks }, yaxis: { ...layout.yaxis, ...range } } };
};

const panels = (of, given) => given.metrics.map(([metric, title]) => {
  const place = element("div", { className: "plot", role: "img", ariaLabel: `${title} by epoch` });
  place.style.height = `${given.layout.height}px`;
  made.set(place, curves(place, metric, of, given));
  return element("figure", {}, element("figcaption", {}, title), place);
});

const content = (name, of, given) => {
  const box = element("div", { className: `opening ${given.shades[of.method]}` });
  if (of.curves) {
    const splits = Object.keys(of.curves.splits);
    const seeds = of.curves.seeds.map((seed, i) => `seed ${seed} ${given.dashed[i % given.dashed.length]}`);
    const greys = [["train", "train grey"], ["target", "target broad and pale"]];
    const said = ["val in the method’s colour", ...greys.filter(([split]) => splits.includes(split)).map(([, as]) => as)];
    box.append(
      element("p", { className: "lead" }, `${[...said, ...seeds].join(", ")}; a mark is the epoch whose weights are kept.`),
      element("div", { className: "multiples" }, ...panels(of, given)),
    );
  } else {
    const none = given.without.includes(name) ? "Its curves have no room here; they are in epochs.parquet." : "It has no complete epoch.";
    box.append(element("p", { className: "lead" }, none));
  }
  const facts = element("dl");
  const fact = (title, ...said) => facts.append(element("dt", {}, title), element("dd", {}, ...said));
  if (of.config) {
    fact("Config", inWords(of.config) || "nothing was searched");
    if (Object.keys(of.constants).length) fact("Constant", inWords(of.constants));
    fact("Train it again", element("pre", {}, of.command), given.note);
  }
  if (of.error) fact("Error", element("code", {}, of.error.trim().split("\n").at(-1)), folded("Traceback", of.error));
  box.append(facts);
  return box;
};

const close = (row) => {
  const opened = row.nextElementSibling;
  for (const place of opened.querySelectorAll(".plot")) {
    if (isDrawn(place)) Plotly.purge(place);
    places.splice(places.indexOf(place), 1);
    made.delete(place);
  }
  opened.remove();
  row.querySelector("button").ariaExpanded = "false";
};
const open = async (row) => {
  const button = row.querySelector("button");
  if (button.ariaExpanded === "true") return;
  button.ariaExpanded = "true";
  const cell = element("td", { colSpan: row.cells.length });
  row.after(element("tr", { className: "opened" }, cell));
  try {
    const given = await trialsData();
    cell.append(content(row.dataset.row, given.trials[row.dataset.row], given));
    places.push(...cell.querySelectorAll(".plot"));
  } catch {
    cell.append("This browser can’t unpack what belongs here; the trial’s curves are in epochs.parquet.");
  }
  await drawShown();
};

for (const row of ofTrials ? [...ofTrials.tBodies[0].rows].filter(isData) : []) {
  const name = row.cells[0];
  const button = element("button", { type: "button", ariaExpanded: "false" }, ...name.childNodes);
  button.addEventListener("click", () => (button.ariaExpanded === "true" ? close(row) : open(row)));
  name.append(button);
}

// The address report.html#scale-00017 opens that trial, and a click on its mark in a figure leads there.
const rowOf = (name) => document.getElementById(name)?.closest("#trials-table tbody tr");
const addressed = (text) => {
  const name = String(text).split(",")[0];
  if (!rowOf(name)) return;
  if (location.hash === `#${name}`) openAddressed();
  else location.hash = name;
};
const openAddressed = async () => {
  const row = rowOf(decodeURIComponent(location.hash.slice(1)));
  if (!row) return;
  row.closest("details").open = true;
  row.hidden = false;
  await open(row);
  row.scrollIntoView({ block: "start" });
};
addEventListener("hashchange", openAddressed);
openAddressed();
