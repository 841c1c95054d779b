// What keeps the box from taking drops, said in the place of the form.

import * as api from "./api";
import { must, put } from "./dom";
import { t } from "./words";

export class Trouble {
  private readonly say = must("drop-say");
  private readonly form = document.getElementById("drop-form");
  private readonly usual = this.say.textContent || "";
  private now = document.body.dataset["trouble"] || "";

  /** Asks how the box stands, and shows what has changed. */
  async refresh(): Promise<void> {
    const trouble = (await api.box()).usage.trouble || "";
    if (trouble === this.now) return;
    this.now = trouble;
    if (this.form) {
      must("drop").classList.toggle("shut", !!trouble);
      put(this.say, trouble ? t("drop." + trouble) : this.usual);
    } else if (trouble) {
      put(this.say, t("drop." + trouble));
    } else if (!(must("text") as HTMLTextAreaElement).value) {
      location.reload(); // the page came without its form; nobody is writing
    }
  }
}
