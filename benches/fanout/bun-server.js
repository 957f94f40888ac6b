// What Bun offers out of the box: its own topics, its own publish. Usage: bun bun-server.js PORT
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    const [, verb, channel] = pathname.split("/");
    if (pathname === "/ready") return new Response("ready\n");
    if ((verb === "sub" || verb === "pub") && channel) {
      if (server.upgrade(request, { data: { channel, publishes: verb === "pub" } })) return;
    }
    if (verb === "pub" && request.method === "POST") {
      return request.text().then((body) => {
        server.publish(channel, body);
        return new Response("");
      });
    }
    return new Response("not found\n", { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    open(ws) {
      if (!ws.data.publishes) ws.subscribe(ws.data.channel);
    },
    message(ws, message) {
      if (ws.data.publishes) server.publish(ws.data.channel, message);
    },
  },
});
