// A pub/sub server around the npm package `ws`, which knows no channels: a set of clients each, and the loop over them that
// its documentation shows. `benches/peers/setup` copies it to where the package is installed.
//
// node server.js --port PORT [--message-bytes-max N] [--deflate true|false]
//
// /sub/CHANNEL and /sub?channel=A&channel=B subscribe, WebSocket messages and POST bodies to /pub/CHANNEL are published.
"use strict";
const http = require("node:http");
const { parseArgs } = require("node:util");
const { WebSocket, WebSocketServer } = require("ws");

const { values: settings } = parseArgs({
  options: {
    port: { type: "string" },
    "message-bytes-max": { type: "string", default: "65536" },
    deflate: { type: "string", default: "false" },
    version: { type: "boolean", default: false },
  },
});
if (settings.version) {
  console.log(`${require("ws/package.json").version} on node ${process.versions.node}`);
  process.exit(0);
}

const messageBytesMax = Number(settings["message-bytes-max"]);
const subscribersOf = new Map();
const webSockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  maxPayload: messageBytesMax,
  perMessageDeflate: settings.deflate === "true",
});
const server = http.createServer(answer);
server.on("upgrade", (request, socket, head) => {
  const { verb, channels } = parse(request.url);
  if ((verb !== "sub" && verb !== "pub") || !channels.length) {
    socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  webSockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on("error", () => ws.terminate());
    if (verb === "sub") subscribe(ws, channels);
    else ws.on("message", (message, isBinary) => publish(channels[0], message, isBinary));
  });
});
server.listen({ host: "127.0.0.1", port: Number(settings.port), backlog: 4096 });

function subscribe(ws, channels) {
  for (const channel of channels) {
    if (!subscribersOf.has(channel)) subscribersOf.set(channel, new Set());
    subscribersOf.get(channel).add(ws);
  }
  ws.on("close", () => {
    for (const channel of channels) subscribersOf.get(channel).delete(ws);
  });
}

function publish(channel, message, isBinary) {
  for (const subscriber of subscribersOf.get(channel) ?? []) {
    if (subscriber.readyState === WebSocket.OPEN) subscriber.send(message, { binary: isBinary });
  }
}

function answer(request, response) {
  const { verb, channels } = parse(request.url);
  if (request.method !== "POST" || verb !== "pub" || !channels.length) {
    response.writeHead(404).end();
    return;
  }
  const chunks = [];
  let length = 0;
  request.on("data", (chunk) => {
    length += chunk.length;
    if (length > messageBytesMax) request.destroy();
    chunks.push(chunk);
  });
  request.on("end", () => {
    publish(channels[0], Buffer.concat(chunks), false);
    response.end();
  });
}

function parse(url) {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  const [, verb, channel] = pathname.split("/");
  return { verb, channels: channel ? [channel] : searchParams.getAll("channel") };
}
