// How one turn looks: a question, and the parts of its answer under their headings as they come.
// All text is set as text, never as HTML.

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Turn {
  constructor(question) {
    this.root = element("article");
    this.root.append(element("blockquote", "", question));
    this.sources = element("ul", "sources");
    this.root.append(this.sources);
    this.kind = null;
    this.paragraph = null;
    this.numbers = new Map();
    this.last = 0;
  }

  add(part) {
    if (part.kind === "source") {
      this.cite(part.source, Number(part.text.replace(/\D/g, "")));
      return;
    }
    const apart = part.kind === "knowledge" || part.kind === "red_flag" || part.kind === "document";
    if (part.kind !== this.kind || apart) {
      this.paragraph = element("p", part.kind === "red_flag" ? "part urgent" : "part");
      if (part.kind !== this.kind && part.heading && part.kind !== "red_flag") {
        this.paragraph.append(element("em", "", `${part.heading}: `));
      }
      this.root.insertBefore(this.paragraph, this.sources);
    } else {
      this.paragraph.append(/^(- |\|)/.test(part.text) ? "\n" : " ");
    }
    this.kind = part.kind;
    this.paragraph.append(part.text);
    if (part.source) this.paragraph.append(element("sup", "", `[${this.cite(part.source)}]`));
  }

  cite(source, wanted) {
    if (!this.numbers.has(source)) {
      const number = wanted || this.last + 1;
      this.last = Math.max(this.last, number);
      this.numbers.set(source, number);
      this.sources.append(element("li", "", `[${number}] ${source}`));
    }
    return this.numbers.get(source);
  }

  note(text, className = "small") {
    this.root.append(element("p", className, text));
  }
}
