// The page's script. Everything works without it; with it, drops show how far
// they are, and list and lobby stay current by themselves.

import { tellTime } from "./api";
import { Chat } from "./chat";
import { must, put } from "./dom";
import { gather } from "./gather";
import { FileListView } from "./list";
import { listen } from "./live";
import { refreshNear } from "./near";
import { Queue } from "./queue";
import { QueueView } from "./queueview";
import { showPicks } from "./picks";
import { Trouble } from "./trouble";
import { t } from "./words";

document.documentElement.classList.add("js");

const list = new FileListView();
const chat = new Chat();
const near = refreshNear;
const trouble = new Trouble();

const view = new QueueView(() => queue);
showPicks();
let listDue = 0;
const queue = new Queue(
  () => view.changed(),
  () => {
    // One look at the list for many small files.
    window.clearTimeout(listDue);
    listDue = window.setTimeout(() => void list.refresh(true).catch(() => undefined), 400);
  },
  Number(document.body.dataset["maxFile"]) || Infinity,
);
gather((picked) => void queue.add(picked));

listen(document.body.dataset["room"] || "lobby", {
  message: (m) => chat.add(m),
  withdrawn: (id) => chat.withdraw(id),
  changed: async (topics) => {
    const all = topics.length === 0;
    const has = (topic: string): boolean => topics.indexOf(topic) >= 0;
    const jobs: Promise<void>[] = [];
    if (all || has("files") || (has("transfers") && list.waiting())) jobs.push(list.refresh(all).then(showPicks));
    if (all || has("box")) jobs.push(near(), trouble.refresh());
    if (all) jobs.push(chat.refresh());
    await Promise.all(jobs);
  },
  state: (s) => {
    const link = must("link");
    link.dataset["state"] = s;
    put(link, t("link." + s));
    document.documentElement.classList.toggle("live", s === "live");
  },
});

if (document.body.hasAttribute("data-asks-time")) tellTime(Date.now());

window.setInterval(() => {
  const now = Date.now();
  list.tick(now);
  chat.tick(now);
}, 30000);
