// The page's script. Everything works without it; with it, drops show how far
// they are, and list and room stay current by themselves.

import { tellTime } from "./api";
import { Chat } from "./chat";
import { must, put } from "./dom";
import { Home } from "./home";
import { listen } from "./live";
import { t } from "./words";

document.documentElement.classList.add("js");

const chat = new Chat();
const home = document.getElementById("files") ? new Home() : null; // else one room alone

listen(document.body.dataset["room"] || "lobby", {
  message: (m) => chat.add(m),
  withdrawn: (id) => chat.withdraw(id),
  changed: async (topics) => {
    const jobs = home ? home.changed(topics) : [];
    if (topics.length === 0) jobs.push(chat.refresh());
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
  if (home) home.tick(now);
  chat.tick(now);
}, 30000);
