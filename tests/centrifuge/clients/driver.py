"""Drives connections of `centrifuge-python` as it is told: tests/centrifuge/clients/program.rs lists commands and events."""

import asyncio
import dataclasses
import json
import sys

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler
from centrifuge.exceptions import ReplyError
from centrifuge.types import StreamPosition


def tell(event, id, **more):
    sys.stdout.write(json.dumps({"event": event, "id": id, **more}) + "\n")
    sys.stdout.flush()


def seen(context):
    """A context in the words that all clients tell it in; members that are not there are left out."""
    if dataclasses.is_dataclass(context):
        members = {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
        # A publication stands alone in its context.
        pub = members.pop("pub", None)
        if pub is not None:
            members.update(seen(pub))
        return {name: seen(member) for name, member in members.items() if member is not None}
    if isinstance(context, dict):
        return {name: seen(member) for name, member in context.items()}
    if isinstance(context, list):
        return [seen(member) for member in context]
    return context


def refusal(error):
    if isinstance(error, ReplyError):
        return {"code": error.code, "message": error.message, "temporary": error.temporary}
    return {"code": 0, "message": repr(error), "temporary": False}


class Events(ClientEventHandler):
    def __init__(self, id):
        self.id = id

    async def on_connecting(self, ctx):
        tell("connecting", self.id, **seen(ctx))

    async def on_connected(self, ctx):
        tell("connected", self.id, **seen(ctx))

    async def on_disconnected(self, ctx):
        tell("disconnected", self.id, **seen(ctx))

    async def on_error(self, ctx):
        tell("error", self.id, type=ctx.code, **refusal(ctx.error))

    async def on_subscribed(self, ctx):
        tell("server_subscribed", self.id, **seen(ctx))

    async def on_unsubscribed(self, ctx):
        tell("server_unsubscribed", self.id, **seen(ctx))

    async def on_publication(self, ctx):
        tell("server_publication", self.id, **seen(ctx))

    async def on_join(self, ctx):
        tell("server_join", self.id, **seen(ctx))

    async def on_leave(self, ctx):
        tell("server_leave", self.id, **seen(ctx))


class SubscriptionEvents(SubscriptionEventHandler):
    def __init__(self, id, channel):
        self.id = id
        self.channel = channel

    def tell(self, event, ctx):
        tell(event, self.id, **{"channel": self.channel, **seen(ctx)})

    async def on_subscribing(self, ctx):
        self.tell("subscribing", ctx)

    async def on_subscribed(self, ctx):
        self.tell("subscribed", ctx)

    async def on_unsubscribed(self, ctx):
        self.tell("unsubscribed", ctx)

    async def on_publication(self, ctx):
        self.tell("publication", ctx)

    async def on_join(self, ctx):
        self.tell("join", ctx)

    async def on_leave(self, ctx):
        self.tell("leave", ctx)

    async def on_error(self, ctx):
        tell("subscription_error", self.id, channel=self.channel, **refusal(ctx.error))


class Connection:
    def __init__(self, id, options):
        self.id = id
        tokens = options.get("tokens")
        get_token = None
        if tokens is not None:

            async def get_token():
                tell("token_asked", self.id)
                return tokens.pop(0)

        self.client = Client(
            options["url"],
            events=Events(id),
            token=tokens.pop(0) if tokens else "",
            get_token=get_token,
            min_reconnect_delay=0.02,
            max_reconnect_delay=0.2,
            # A busy machine may hold up the server's pings.
            max_server_ping_delay=60.0,
        )

    async def connect(self, **_):
        await self.client.connect()

    async def disconnect(self):
        await self.client.disconnect()

    async def subscribe(self, channel, tokens=None, since=None, more=None):
        subscription = self.client.get_subscription(channel)
        if subscription is None:
            get_token = get_state = None
            if tokens is not None:

                async def get_token(_):
                    tell("token_asked", self.id, channel=channel)
                    return tokens.pop(0)

            if since is not None:

                async def get_state(_):
                    return StreamPosition(offset=since["offset"], epoch=since["epoch"])

            subscription = self.client.new_subscription(
                channel,
                events=SubscriptionEvents(self.id, channel),
                token=tokens.pop(0) if tokens else "",
                get_token=get_token,
                get_state=get_state,
                min_resubscribe_delay=0.02,
                max_resubscribe_delay=0.2,
            )
        await subscription.subscribe()

    async def unsubscribe(self, channel):
        await self.client.get_subscription(channel).unsubscribe()

    async def publish(self, channel, data):
        await self.ask("publish", self.client.publish(channel, data))

    async def publish_numbers(self, channel, **numbers):
        first, count = numbers["from"], numbers["count"]
        all = asyncio.gather(*(self.client.publish(channel, first + n) for n in range(count)))
        await self.ask("publish_numbers", self.discard(all))

    async def discard(self, all):
        await all
        return {}

    async def presence(self, channel):
        await self.ask("presence", self.client.presence(channel))

    async def presence_stats(self, channel):
        await self.ask("presence_stats", self.client.presence_stats(channel))

    async def history(self, channel, options):
        if "since" in options:
            options["since"] = StreamPosition(**options["since"])
        await self.ask("history", self.client.history(channel, **options))

    async def rpc(self, method, data):
        await self.ask("rpc", self.client.rpc(method, data))

    async def cut(self):
        self.client._conn.transport.abort()

    async def ask(self, what, answer):
        try:
            tell("answer", self.id, what=what, answer=seen(await answer))
        except Exception as error:
            tell("refused", self.id, what=what, **refusal(error))


async def main():
    connections = {}
    tasks = set()
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def carry_out(what, id, command):
        try:
            if what == "connect" and id not in connections:
                connections[id] = Connection(id, command)
            await getattr(connections[id], what)(**command)
        except Exception as error:
            tell("failed", id, error=f"{what}: {error!r}")

    while line := await reader.readline():
        command = json.loads(line)
        what, id = command.pop("do"), command.pop("id")
        # Answers come while other commands are carried out.
        task = asyncio.create_task(carry_out(what, id, command))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
