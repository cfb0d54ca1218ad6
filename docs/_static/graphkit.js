// On a phone a row of a table is a paragraph (graphkit.css): its cells must know what they are.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.compact")) {
    const titles = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, i) => (cell.dataset.title = titles[i]));
  }
});
