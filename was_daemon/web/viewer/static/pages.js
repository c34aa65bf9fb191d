// The form by which one of several pages is chosen.

export class PageForm {
  #page = 1;
  #pages = 1;

  /** `choose` is called with the page that somebody has chosen. */
  constructor(form, choose) {
    this.form = form;
    this.input = form.querySelector("input");
    this.previous = form.querySelector(".previous");
    this.next = form.querySelector(".next");
    this.previous.addEventListener("click", () => choose(this.#page - 1));
    this.next.addEventListener("click", () => choose(this.#page + 1));
    form.addEventListener("submit", (event) => event.preventDefault());
    this.input.addEventListener("change", () => {
      const page = Number(this.input.value);
      if (Number.isInteger(page) && page >= 1 && page <= this.#pages) choose(page);
      else this.input.value = this.#page;
    });
  }

  /** Show which page is seen, of how many; nothing if there is only one. */
  show(page, pages) {
    this.#page = page;
    this.#pages = pages;
    this.form.hidden = pages < 2;
    this.form.querySelector("span").textContent = `of ${pages}`;
    this.input.max = pages;
    this.input.value = page;
    this.previous.disabled = page <= 1;
    this.next.disabled = page >= pages;
  }
}
