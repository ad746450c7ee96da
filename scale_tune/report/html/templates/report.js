const root = document.documentElement;
const places = [...document.querySelectorAll(".plot")];
const settings = { displayModeBar: false, responsive: true };
const dark = matchMedia("(prefers-color-scheme: dark)");

// What the page has no room for in its figures is made when it is asked for: by its place, what makes it.
const made = new Map();

// Figures come in the colours of a light page. Those of text, axes and grids are the page's.
const template = () => {
  const of = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const axis = { gridcolor: of("--grid"), linecolor: of("--axis"), tickcolor: of("--axis") };
  const font = { color: of("--ink") };
  const hoverlabel = { bgcolor: of("--page"), bordercolor: of("--axis"), font };
  const clear = "rgba(0,0,0,0)";
  return { layout: { font, hoverlabel, paper_bgcolor: clear, plot_bgcolor: clear, xaxis: axis, yaxis: axis } };
};
const inColours = () => {
  let text = document.getElementById("figures").textContent;
  if (dark.matches && !("paper" in root.dataset)) {
    for (const [light, other] of JSON.parse(document.getElementById("shades").textContent)) {
      text = text.replaceAll(light, other);
    }
  }
  return JSON.parse(text);
};
let figures = inColours();

// What is folded has no width to be drawn in.
const isShown = (place) => !place.closest("details:not([open])");
const isDrawn = (place) => "drawn" in place.dataset;
const draw = (place) => {
  const { data, layout } = made.get(place)?.() ?? figures[place.id];
  const first = !isDrawn(place);
  place.dataset.drawn = "";
  return Plotly.react(place, data, { ...layout, template: template(), width: undefined }, settings).then(() => {
    if (first) place.on("plotly_click", ({ points: [point] }) => addressed(point.text));
  });
};
const drawAll = () => Promise.all(places.filter((place) => isShown(place) && !isDrawn(place)).map(draw));
const drawShown = () => plotly.then(drawAll, () => undefined);
const redraw = () => {
  figures = inColours();
  for (const place of places) if (isDrawn(place)) draw(place);
};
drawShown().then(() => { root.dataset.drawn = places.length; });
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", drawShown);
dark.addEventListener("change", redraw);

// A table that is wider than its place fades at the end that can be scrolled to.
const scrolling = [...document.querySelectorAll(".scroll")];
const hint = (table) => table.classList.toggle("more", table.scrollLeft + table.clientWidth < table.scrollWidth - 2);
const hints = new ResizeObserver((entries) => { for (const { target } of entries) hint(target); });
for (const table of scrolling) {
  hints.observe(table);
  table.addEventListener("scroll", () => hint(table), { passive: true });
}

// On paper: its width, a light page, and all of what misleads if it is left out.
const printed = [...document.querySelectorAll("details.printed")];
addEventListener("beforeprint", () => {
  root.dataset.paper = "";
  for (const details of printed) { details.dataset.wasOpen = details.open; details.open = true; }
  redraw();
  for (const place of places) if (isDrawn(place)) Plotly.relayout(place, { width: place.clientWidth });
});
addEventListener("afterprint", () => {
  delete root.dataset.paper;
  for (const details of printed) details.open = details.dataset.wasOpen === "true";
  redraw();
});
