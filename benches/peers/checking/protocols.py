"""The protocols that servers speak over WebSocket: subscribing, publishing, and what a message carries.

Each is a class with the same face: `subscribe(channel)` returns when the server has confirmed it, `publish(channel, payloads)`
sends all in one write, `deliveries()` waits for a message and returns the payloads in it, which may be none.
"""

import json
import struct

from checking.websocket import ProtocolError


class Raw:
    """The path subscribes; a message is a payload."""

    subprotocol = None

    def __init__(self, websocket, options):
        self.websocket = websocket
        self.options = options

    def subscribe(self, channel):
        pass

    def publish(self, channel, payloads):
        self.websocket.send_together(payloads)

    def deliveries(self):
        return [self.websocket.receive()]


class Stomp(Raw):
    """STOMP 1.2."""

    subprotocol = "v12.stomp"

    def subscribe(self, channel):
        self._connect()
        self._send("SUBSCRIBE", {"id": "0", "destination": channel, "ack": "auto", "receipt": "subscribed"})
        self._expect("RECEIPT")

    def publish(self, channel, payloads):
        self._connect()
        self.websocket.send_together([self._frame("SEND", {"destination": channel}, payload) for payload in payloads])
        # Left open: a server may drop what a closed connection had sent.

    def deliveries(self):
        frames = self._frames(self.websocket.receive())
        for command, headers, body in frames:
            if command != "MESSAGE":
                raise ProtocolError(f"{command} {headers} in place of a MESSAGE")
        return [body for _, _, body in frames]

    def _connect(self):
        headers = {"accept-version": "1.2", "host": self.options.get("host", "localhost"), "heart-beat": "0,0"}
        for name in ("login", "passcode"):
            if name in self.options:
                headers[name] = self.options[name]
        self._send("CONNECT", headers)
        self._expect("CONNECTED")

    def _send(self, command, headers):
        self.websocket.send(self._frame(command, headers, b""))

    def _expect(self, expected):
        ((command, headers, _),) = self._frames(self.websocket.receive())
        if command != expected:
            raise ProtocolError(f"{command} {headers} in place of {expected}")

    @staticmethod
    def _frame(command, headers, body):
        head = "\n".join([command, *(f"{name}:{value}" for name, value in headers.items())])
        return head.encode() + b"\n\n" + body + b"\0"

    @staticmethod
    def _frames(data):
        frames = []
        data = data.lstrip(b"\r\n")
        while data:
            head, data = data.split(b"\n\n", 1)
            command, *lines = head.decode().split("\n")
            headers = dict(line.rstrip("\r").split(":", 1) for line in lines)
            length = int(headers.get("content-length", data.index(b"\0")))
            frames.append((command.rstrip("\r"), headers, data[:length]))
            data = data[length + 1 :].lstrip(b"\r\n")
        return frames


class Centrifuge(Raw):
    """Centrifugo's JSON protocol, version 2."""

    def subscribe(self, channel):
        self._ask({"id": 1, "connect": {}})
        self._ask({"id": 2, "subscribe": {"channel": channel}})

    def publish(self, channel, payloads):
        raise ProtocolError("publish to this server over HTTP")

    def deliveries(self):
        payloads = []
        for line in self.websocket.receive().splitlines():
            answer = json.loads(line)
            if answer == {}:
                self.websocket.send(b"{}")
            else:
                payloads.append(self._payload(answer).encode())
        return payloads

    def _ask(self, command):
        self.websocket.send(json.dumps(command).encode())
        answer = json.loads(self.websocket.receive())
        if answer.get("id") != command["id"] or "error" in answer:
            raise ProtocolError(f"{command} was answered with {answer}")

    @staticmethod
    def _payload(answer):
        return answer["push"]["pub"]["data"]


class CentrifugeV1(Centrifuge):
    """The same of 2021, version 1."""

    def subscribe(self, channel):
        self._ask({"id": 1, "method": 0, "params": {}})
        self._ask({"id": 2, "method": 1, "params": {"channel": channel}})

    @staticmethod
    def _payload(answer):
        return answer["result"]["data"]["data"]


class Nats(Raw):
    """NATS' own protocol in binary messages, which need not end where its lines do."""

    def __init__(self, websocket, options):
        super().__init__(websocket, options)
        self.unread = b""

    def subscribe(self, channel):
        self._connect()
        self.websocket.send(f"SUB {channel} 1\r\nPING\r\n".encode(), binary=True)
        self._expect(b"PONG")

    def publish(self, channel, payloads):
        self._connect()
        commands = [f"PUB {channel} {len(payload)}\r\n".encode() + payload + b"\r\n" for payload in payloads]
        self.websocket.send_together(commands, binary=True)

    def deliveries(self):
        line = self._line()
        if line == b"PING":
            self.websocket.send(b"PONG\r\n", binary=True)
            return []
        words = line.split()
        if words[0] != b"MSG":
            raise ProtocolError(f"{line} in place of a MSG")
        length = int(words[-1])
        while len(self.unread) < length + 2:
            self.unread += self.websocket.receive()
        payload, self.unread = self.unread[:length], self.unread[length + 2 :]
        return [payload]

    def _connect(self):
        options = {"verbose": False, "pedantic": False, "echo": True}
        for name, field in (("login", "user"), ("passcode", "pass")):
            if name in self.options:
                options[field] = self.options[name]
        self.websocket.send(f"CONNECT {json.dumps(options)}\r\n".encode(), binary=True)
        if not self._line().startswith(b"INFO "):
            raise ProtocolError("the server did not begin with INFO")

    def _expect(self, expected):
        line = self._line()
        while line.startswith(b"INFO "):
            line = self._line()
        if line != expected:
            raise ProtocolError(f"{line} in place of {expected}")

    def _line(self):
        while b"\r\n" not in self.unread:
            self.unread += self.websocket.receive()
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line


class Mqtt(Raw):
    """MQTT 3.1.1 with quality of service 0, in binary messages, which need not end where its packets do."""

    subprotocol = "mqtt"

    def __init__(self, websocket, options):
        super().__init__(websocket, options)
        self.unread = b""

    def subscribe(self, channel):
        self._connect()
        self.websocket.send(packet(0x82, struct.pack("!H", 1) + text(channel) + b"\0"), binary=True)
        kind, body = self._packet()
        if kind != 0x90 or body != b"\0\1\0":
            raise ProtocolError(f"SUBSCRIBE was answered with {kind:#x} {body}")

    def publish(self, channel, payloads):
        self._connect()
        self.websocket.send_together([packet(0x30, text(channel) + payload) for payload in payloads], binary=True)

    def deliveries(self):
        kind, body = self._packet()
        if kind != 0x30:
            raise ProtocolError(f"packet {kind:#x} in place of a PUBLISH")
        (length,) = struct.unpack("!H", body[:2])
        return [body[2 + length :]]

    def _connect(self):
        flags, more = 2, b""
        for name, flag in (("login", 0x80), ("passcode", 0x40)):
            if name in self.options:
                flags |= flag
                more += text(self.options[name])
        # An empty client identifier: the server makes one up. No keep-alive.
        body = text("MQTT") + struct.pack("!BBH", 4, flags, 0) + text("") + more
        self.websocket.send(packet(0x10, body), binary=True)
        kind, body = self._packet()
        if kind != 0x20 or body[1]:
            raise ProtocolError(f"CONNECT was answered with {kind:#x} {body}")

    def _packet(self):
        while True:
            length, shift, at = 0, 0, 1
            while at < len(self.unread):
                byte = self.unread[at]
                length |= (byte & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if byte < 0x80:
                    if len(self.unread) < at + length:
                        break
                    kind, body = self.unread[0], self.unread[at : at + length]
                    self.unread = self.unread[at + length :]
                    return kind, body
            self.unread += self.websocket.receive()


def text(value):
    return struct.pack("!H", len(value.encode())) + value.encode()


def packet(kind, body):
    length, digits = len(body), b""
    while True:
        digits += bytes([length % 128 | (0x80 if length >= 128 else 0)])
        length //= 128
        if not length:
            return bytes([kind]) + digits + body


class Pusher(Raw):
    """Pusher's protocol 7."""

    def subscribe(self, channel):
        self._expect("pusher:connection_established")
        subscribe = {"event": "pusher:subscribe", "data": {"channel": channel}}
        self.websocket.send(json.dumps(subscribe).encode())
        self._expect("pusher_internal:subscription_succeeded")

    def publish(self, channel, payloads):
        raise ProtocolError("publish to this server over HTTP")

    def deliveries(self):
        message = json.loads(self.websocket.receive())
        if message["event"] == "pusher:ping":
            self.websocket.send(b'{"event":"pusher:pong","data":{}}')
            return []
        if message["event"].startswith("pusher"):
            raise ProtocolError(f"{message} in place of an event")
        return [message["data"].encode()]

    def _expect(self, event):
        message = json.loads(self.websocket.receive())
        if message["event"] != event:
            raise ProtocolError(f"{message} in place of {event}")


PROTOCOLS = {
    "raw": Raw,
    "stomp": Stomp,
    "centrifuge": Centrifuge,
    "centrifuge-v1": CentrifugeV1,
    "nats": Nats,
    "mqtt": Mqtt,
    "pusher": Pusher,
}
