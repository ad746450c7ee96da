// A table sorts by a click on a header: down, up, and as it was; rows stay below their heading, and what has no value is
// last. A long one has a box that filters its rows by words.
const LONG = 20;
const WAYS = { none: "descending", descending: "ascending", ascending: "none" };

const isData = (row) => "row" in row.dataset;
const valueOf = (cell) => {
  if (!cell || cell.querySelector(":scope > .missing")) return null;
  const number = cell.querySelector("data");
  return number ? Number(number.value) : cell.textContent.trim();
};
const compared = (one, other) => {
  const [number, text] = [typeof one === "number", typeof other === "string"];
  if (number && !text) return one - other;
  if (!number && text) return one.localeCompare(other, undefined, { numeric: true });
  return number ? -1 : 1;
};

// Each heading with the rows below it, and each row with what it has been opened to.
const blocksOf = (body) => {
  const blocks = [{ heading: null, rows: [] }];
  for (const row of body.rows) {
    if (isData(row)) blocks.at(-1).rows.push([row]);
    else if (row.classList.contains("opened")) blocks.at(-1).rows.at(-1).push(row);
    else blocks.push({ heading: row, rows: [] });
  }
  return blocks;
};

const sort = (table, column, way) => {
  const body = table.tBodies[0];
  const direction = way === "ascending" ? 1 : -1;
  const order = new Map(table.order.map((row, place) => [row, place]));
  for (const { heading, rows } of blocksOf(body)) {
    const keyed = rows.map((row) => ({ row, value: valueOf(row[0].cells[column]), place: order.get(row[0]) }));
    keyed.sort((one, other) => {
      if (way === "none" || one.value === other.value) return one.place - other.place;
      if (one.value === null || other.value === null) return one.value === null ? 1 : -1;
      return direction * compared(one.value, other.value);
    });
    body.append(...[heading].filter(Boolean), ...keyed.flatMap(({ row }) => row));
  }
};

const makeSortable = (table) => {
  const headers = [...table.tHead.rows[0].cells];
  table.order = [...table.tBodies[0].rows].filter(isData);
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.ariaSort = "none";
    button.addEventListener("click", () => {
      const way = WAYS[header.ariaSort];
      for (const each of headers) each.ariaSort = "none";
      header.ariaSort = way;
      sort(table, column, way);
    });
  });
};

const filter = (table, words) => {
  let shown = 0;
  for (const { heading, rows } of blocksOf(table.tBodies[0])) {
    let below = 0;
    for (const [row, opened] of rows) {
      row.words ??= [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => row.words.includes(word));
      if (opened) opened.hidden = row.hidden;
      below += !row.hidden;
    }
    if (heading) heading.hidden = !below;
    shown += below;
  }
  return shown;
};

const makeFilterable = (table) => {
  const [box, input, found] = ["p", "input", "span"].map((tag) => document.createElement(tag));
  const caption = table.caption.textContent;
  box.className = "filter";
  Object.assign(input, { type: "search", placeholder: "filter rows by words", ariaLabel: `Filter: ${caption}` });
  found.role = "status";
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = filter(table, words);
    found.textContent = words.length ? `${shown} of ${table.order.length} rows` : "";
  });
  box.append(input, " ", found);
  table.parentElement.before(box);
};

for (const table of document.querySelectorAll("table[id]:not(#winners)")) {
  const rows = [...table.tBodies[0].rows].filter(isData);
  if (rows.length > 1) makeSortable(table);
  if (rows.length > LONG) makeFilterable(table);
}
