"""Drives Python `websockets` connections as it is told, and tells what it sees.

Commands come in and events go out as JSON objects, one a line; tests/support/client.rs lists both. drive.mjs speaks the
same with node's `ws`.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


def tell(event, id, **more):
    sys.stdout.write(json.dumps({"event": event, "id": id, **more}) + "\n")
    sys.stdout.flush()


class Connection:
    def __init__(self, id, websocket):
        self.id = id
        self.websocket = websocket
        self.reading = asyncio.Event()
        self.reading.set()

    async def read(self):
        try:
            while True:
                # While nobody takes messages, `websockets` stops reading from the socket.
                await self.reading.wait()
                message = await self.websocket.recv()
                if isinstance(message, str):
                    tell("message", self.id, text=message)
                else:
                    tell("message", self.id, binary=message.hex())
        except ConnectionClosed:
            tell("closed", self.id, code=self.websocket.close_code, reason=self.websocket.close_reason)

    async def send(self, text=None, binary=None, fragments=None):
        try:
            await self.websocket.send(fragments or (text if binary is None else bytes.fromhex(binary)))
        except ConnectionClosed:
            pass  # told by read()

    async def ping(self, data):
        await (await self.websocket.ping(data))
        tell("pong", self.id, data=data)

    async def close(self, code, reason):
        await self.websocket.close(code, reason)

    async def pause(self):
        self.reading.clear()

    async def resume(self):
        self.reading.set()


async def open_connection(connections, id, url, origin=None, deflate=None):
    offer = {} if deflate is None else {"compression": None, "extensions": [ClientPerMessageDeflateFactory(**deflate)]}
    try:
        websocket = await connect(url, origin=origin, max_size=None, proxy=None, open_timeout=None, **offer)
    except InvalidStatus as refusal:
        answer = refusal.response
        headers = {name.lower(): value for name, value in answer.headers.raw_items()}
        tell("refused", id, status=answer.status_code, headers=headers, body=(answer.body or b"").decode())
        return
    except Exception as error:
        tell("failed", id, error=repr(error))
        return
    connection = connections[id] = Connection(id, websocket)
    tell("open", id)
    await connection.read()


async def main():
    connections = {}
    tasks = set()

    def start(coroutine):
        task = asyncio.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    commands = asyncio.StreamReader(limit=1 << 27)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        what, id = command.pop("do"), command.pop("id")
        if what == "open":
            start(open_connection(connections, id, **command))
        elif what in ("ping", "close"):
            # They wait for an answer; what is told next must not wait for it too.
            start(getattr(connections[id], what)(**command))
        else:
            await getattr(connections[id], what)(**command)


asyncio.run(main())
