"use strict";
// What is packed is gzip in base64; see packing.py.
const unpacked = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};

// Of plotly, the page's policy names the hash of what comes out.
const plotly = unpacked("plotly").then((source) => {
  const script = document.createElement("script");
  script.textContent = source;
  document.head.append(script);
  if (!globalThis.Plotly) throw new Error("plotly was unpacked, but not run");
});
plotly.catch(() => { document.getElementById("undrawn").hidden = false; });
