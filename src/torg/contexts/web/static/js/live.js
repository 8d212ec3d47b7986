// One stream of events for as long as the page is looked at: browsers keep few connections to one host.
export function follow(address, name, tell) {
  let source;

  const open = () => {
    source = new EventSource(address);
    source.addEventListener(name, (event) => tell(JSON.parse(event.data)));
    source.addEventListener("error", async () => {
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      const answer = await fetch("/renew", { method: "POST" }).catch(() => null);
      if (answer?.status === 204) setTimeout(open, 1000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") source?.close();
    else open();
  });
  addEventListener("pagehide", () => source?.close());
  if (document.visibilityState === "visible") open();
}
