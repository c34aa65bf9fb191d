// What is known of a picture apart from its metadata.

/** Return the facts on what a panel shows, as pairs of a name and a value. */
export function factsOn(panel) {
  const { name, collection, expiry } = panel.subject;
  const facts = [["Name", name]];
  if (collection) facts.push(["Collection", collection]);
  if (panel.pages > 1) facts.push(["Page", `${panel.page} of ${panel.pages}`]);
  if (panel.information) {
    const { width, height } = panel.information;
    facts.push(["Size", `${width} × ${height} pixels, ${((width * height) / 1e6).toFixed(1)} megapixels`]);
  }
  if (panel.resolution) facts.push(["Resolution", `${Math.round(panel.resolution * 25.4)} pixels per inch, as the file says`]);
  if (expiry) facts.push(["Addresses are valid until", new Date(expiry * 1000).toLocaleString()]);
  return facts;
}
