// One stream of events for as long as the page is looked at: browsers keep few connections to one host. One that is refused is asked for later each time.
const FIRST_PAUSE = 1000, LONGEST_PAUSE = 60_000; // ms

export function follow(address, name, tell) {
  let source, pause = FIRST_PAUSE;

  const open = () => {
    source = new EventSource(address);
    source.addEventListener("open", () => (pause = FIRST_PAUSE));
    source.addEventListener(name, (event) => tell(JSON.parse(event.data)));
    source.addEventListener("error", async () => {
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      const answer = await fetch("/renew", { method: "POST" }).catch(() => null);
      if (answer?.status === 401) return; // whoever it was has signed out
      setTimeout(() => source.readyState === EventSource.CLOSED && document.visibilityState === "visible" && open(), pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") source?.close();
    else open();
  });
  addEventListener("pagehide", () => source?.close());
  if (document.visibilityState === "visible") open();
}
