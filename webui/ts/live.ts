// The live connection, and asking every few seconds where there is none.

import * as api from "./api";

export type State = "live" | "slow" | "down";

export interface Listener {
  /** A message appeared. */
  message(m: api.Message): void;
  /** A message is gone. */
  withdrawn(id: string): void;
  /** Something changed; everything did where topics is empty. */
  changed(topics: string[]): Promise<void>;
  /** How this page hears of things. */
  state(s: State): void;
}

interface Event {
  type: "message" | "withdrawn" | "changed" | "resync";
  message?: api.Message;
  id?: string;
  topics?: string[];
}

const pollEvery = 5000;
const longestPause = 30000;

/** Connects to a room for as long as the page is open. */
export function listen(room: string, to: Listener): void {
  let socket: WebSocket | null = null;
  let open = false;
  let pause = 1000;
  let again = 0;

  const connect = (): void => {
    window.clearTimeout(again);
    if (socket) return;
    try {
      socket = new WebSocket("ws" + location.protocol.slice(4) + "//" + location.host + "/api/v1/live?room=" + encodeURIComponent(room));
    } catch (_) {
      later();
      return;
    }
    const mine = socket;
    mine.onopen = () => {
      open = true;
      pause = 1000;
      to.state("live");
      void to.changed([]).catch(() => undefined); // what was missed before
    };
    mine.onmessage = (e) => hear(JSON.parse(String(e.data)) as Event);
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = null;
      open = false;
      later();
    };
  };

  const later = (): void => {
    window.clearTimeout(again);
    // A random share, so that a thousand phones do not return at one moment.
    again = window.setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, longestPause);
  };

  const hear = (e: Event): void => {
    if (e.type === "message" && e.message) to.message(e.message);
    else if (e.type === "withdrawn" && e.id) to.withdrawn(e.id);
    else if (e.type === "changed") void to.changed(e.topics || []).catch(() => undefined);
    else if (e.type === "resync") void to.changed([]).catch(() => undefined);
  };

  const poll = (): void => {
    if (open || document.hidden) return;
    to.changed([]).then(
      () => open || to.state("slow"),
      () => open || to.state("down"),
    );
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || open) return;
    pause = 1000;
    connect();
    poll();
  });
  window.addEventListener("online", () => {
    pause = 1000;
    connect();
  });
  window.setInterval(poll, pollEvery);
  connect();
}
