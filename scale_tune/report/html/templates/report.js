"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const places = [...document.querySelectorAll(".plot")];
const settings = { displayModeBar: false, responsive: true };
Promise.all(places.map((place) => Plotly.newPlot(place, figures[place.id].data, figures[place.id].layout, settings)))
  .then(() => { document.documentElement.dataset.drawn = places.length; });

// Paper has a width of its own, and can't unfold anything. A table of hundreds of rows stays folded.
const folded = () => [...document.querySelectorAll("details")].filter((d) => d.querySelectorAll("tr").length < 200);
addEventListener("beforeprint", () => {
  for (const details of folded()) { details.dataset.wasOpen = details.open; details.open = true; }
  for (const place of places) {
    Plotly.relayout(place, { autosize: false, width: place.closest(".grid") ? 325 : 660 });
  }
});
addEventListener("afterprint", () => {
  for (const details of folded()) { details.open = details.dataset.wasOpen === "true"; }
  for (const place of places) { Plotly.relayout(place, { autosize: true, width: null }); }
});
