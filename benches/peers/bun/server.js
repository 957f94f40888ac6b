// What Bun offers out of the box: its own topics, its own publish.
//
// bun server.js --port PORT [--message-bytes-max N] [--deflate true|false]
//
// /sub/CHANNEL and /sub?channel=A&channel=B subscribe, WebSocket messages and POST bodies to /pub/CHANNEL are published.
import { parseArgs } from "node:util";

const { values: settings } = parseArgs({
  options: {
    port: { type: "string" },
    "message-bytes-max": { type: "string", default: "65536" },
    deflate: { type: "string", default: "false" },
  },
});
const deflate = settings.deflate === "true";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(settings.port),
  development: false,
  maxRequestBodySize: Number(settings["message-bytes-max"]),
  async fetch(request, server) {
    const { pathname, searchParams } = new URL(request.url);
    const [, verb, channel] = pathname.split("/");
    if (verb === "sub") {
      const channels = channel ? [channel] : searchParams.getAll("channel");
      if (channels.length && server.upgrade(request, { data: { subscribesTo: channels } })) return;
    }
    if (verb === "pub" && channel) {
      if (request.method === "POST") {
        server.publish(channel, await request.text(), deflate);
        return new Response();
      }
      if (server.upgrade(request, { data: { publishesTo: channel } })) return;
    }
    return new Response("not found\n", { status: 404 });
  },
  websocket: {
    perMessageDeflate: deflate,
    maxPayloadLength: Number(settings["message-bytes-max"]),
    backpressureLimit: 1024 * 1024,
    closeOnBackpressureLimit: true,
    open(ws) {
      for (const channel of ws.data.subscribesTo ?? []) ws.subscribe(channel);
      // Not needed any more, and an array for each of many connections.
      ws.data.subscribesTo = undefined;
    },
    message(ws, message) {
      if (ws.data.publishesTo) server.publish(ws.data.publishesTo, message, deflate);
    },
  },
});
