// Drives node `ws` connections as it is told, and tells what it sees: see drive.py, which speaks the same.
// Its argument is the folder that has `ws` in its node_modules.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const WebSocket = createRequire(`${process.argv[2]}/`)('ws');
const connections = new Map();

function tell(event, id, more) {
  process.stdout.write(JSON.stringify({ event, id, ...more }) + '\n');
}

// `ws` has the parameters of permessage-deflate under names of its own.
function offer(deflate) {
  if (deflate === undefined) return true;
  const camel = (name) => name.replace(/_./g, (c) => c[1].toUpperCase());
  const parameters = Object.entries(deflate).map(([name, value]) => [camel(name), value]);
  return { threshold: 0, ...Object.fromEntries(parameters) };
}

const handlers = {
  open(id, { url, origin, deflate }) {
    const socket = new WebSocket(url, { origin, perMessageDeflate: offer(deflate) });
    connections.set(id, socket);
    let opened = false;
    socket.on('open', () => {
      opened = true;
      tell('open', id);
    });
    socket.on('message', (data, isBinary) =>
      tell('message', id, isBinary ? { binary: data.toString('hex') } : { text: data.toString() }));
    socket.on('ping', (data) => tell('ping', id, { data: data.toString() }));
    socket.on('pong', (data) => tell('pong', id, { data: data.toString() }));
    socket.on('unexpected-response', (request, answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => { body += part; });
      answer.on('end', () => tell('refused', id, { status: answer.statusCode, headers: answer.headers, body }));
    });
    // Errors of an open connection show in its close code.
    socket.on('error', (error) => { if (!opened) tell('failed', id, { error: String(error) }); });
    socket.on('close', (code, reason) => { if (opened) tell('closed', id, { code, reason: reason.toString() }); });
  },
  send(id, { text, binary, fragments }) {
    const socket = connections.get(id);
    if (fragments) {
      fragments.forEach((part, index) => socket.send(part, { fin: index === fragments.length - 1 }));
    } else {
      socket.send(binary === undefined ? text : Buffer.from(binary, 'hex'));
    }
  },
  ping(id, { data }) { connections.get(id).ping(data); },
  close(id, { code, reason }) { connections.get(id).close(code, reason); },
  pause(id) { connections.get(id).pause(); },
  resume(id) { connections.get(id).resume(); },
};

const commands = createInterface({ input: process.stdin });
commands.on('line', (line) => {
  const { do: what, id, ...command } = JSON.parse(line);
  handlers[what](id, command);
});
commands.on('close', () => process.exit(0));
