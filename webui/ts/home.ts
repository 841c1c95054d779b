// The home page: dropping, the list, the boxes near.

import { gather } from "./gather";
import { FileListView } from "./list";
import { Memory } from "./memory";
import { refreshNear } from "./near";
import { showPicks, watchPicks } from "./picks";
import { Queue } from "./queue";
import { QueueView } from "./queueview";
import { Trouble } from "./trouble";

export class Home {
  private readonly list = new FileListView();
  private readonly trouble = new Trouble();

  constructor() {
    watchPicks();
    const view: QueueView = new QueueView(() => queue);
    const memory = new Memory();
    let listDue = 0;
    const queue: Queue = new Queue(
      () => {
        view.changed();
        memory.changed(queue.items);
      },
      () => {
        // One look at the list for many small files.
        window.clearTimeout(listDue);
        listDue = window.setTimeout(() => void this.list.refresh(true).catch(() => undefined), 400);
      },
      Number(document.body.dataset["maxFile"]) || Infinity,
    );
    gather((picked) => void queue.add(picked, { description: field("description"), days: field("days") }));
  }

  /** Looks again at what changed; everything did where topics is empty. */
  changed(topics: string[]): Promise<void>[] {
    const all = topics.length === 0;
    const has = (topic: string): boolean => topics.indexOf(topic) >= 0;
    const jobs: Promise<void>[] = [];
    if (all || has("files") || (has("transfers") && this.list.waiting())) jobs.push(this.list.refresh(all).then(showPicks));
    if (all || has("box")) jobs.push(refreshNear(), this.trouble.refresh());
    return jobs;
  }

  /** Keeps the times true. */
  tick(now: number): void {
    this.list.tick(now);
  }
}

/** What stands in a field of the form, where the page has it. */
function field(id: string): string {
  const e = document.getElementById(id) as HTMLTextAreaElement | HTMLSelectElement | null;
  return e ? e.value.trim() : "";
}
