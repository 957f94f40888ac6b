"""A blocking WebSocket client, as small as a check of servers allows: whole messages in memory, permessage-deflate for what
comes and not for what goes.
"""

import base64
import hashlib
import os
import socket
import struct
import zlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class ProtocolError(Exception):
    """The server did something that RFC 6455 or the protocol spoken over it does not allow."""


class WebSocket:
    """One open connection. Every wait ends after `timeout_s` with TimeoutError."""

    def __init__(self, port, path, subprotocol=None, headers=None, timeout_s=10.0, deflate=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        # Messages that came compressed.
        self.compressed = 0
        self.inflater = None
        self._open(port, path, subprotocol, headers or {}, deflate)

    def _open(self, port, path, subprotocol, headers, deflate):
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key.decode()}",
        ]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        if deflate:
            # Messages of one's own may always be sent as they are.
            lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, fields = self._read_head()
        if status != 101:
            raise ProtocolError(f"{path} was answered with {status}, not 101")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if fields.get("sec-websocket-accept") != accept:
            raise ProtocolError(f"{path} was answered with a wrong Sec-WebSocket-Accept")
        agreed = fields.get("sec-websocket-extensions", "")
        if agreed.startswith("permessage-deflate") != deflate:
            raise ProtocolError(f"{path}: permessage-deflate was {'not' if deflate else 'offered by nobody and yet'} agreed to")
        if deflate:
            self.inflater = zlib.decompressobj(-15)
        if subprotocol and fields.get("sec-websocket-protocol") != subprotocol:
            raise ProtocolError(f"{path}: subprotocol {subprotocol} was not agreed to")

    def _read_head(self):
        while b"\r\n\r\n" not in self.unread:
            self._read_more()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines:
            name, value = line.split(":", 1)
            fields[name.strip().lower()] = value.strip()
        return int(status_line.split()[1]), fields

    def send(self, payload, binary=False):
        """Sends one message."""
        self.socket.sendall(frame(BINARY if binary else TEXT, payload))

    def send_together(self, payloads, binary=False):
        """Sends several messages in one write, so that the server is likely to read them in one."""
        self.socket.sendall(b"".join(frame(BINARY if binary else TEXT, payload) for payload in payloads))

    def receive(self):
        """The payload of the next data message; pings are answered on the way."""
        message, compressed = b"", False
        while True:
            final, reserved, opcode, payload = self._read_frame()
            if reserved & ~(0x40 if self.inflater else 0):
                raise ProtocolError("a frame has reserved bits set that nothing agreed to")
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                raise ProtocolError(f"the server closed: {code} {payload[2:].decode(errors='replace')}".rstrip())
            elif opcode != PONG:
                message += payload
                compressed |= bool(reserved)
                if final:
                    return self._inflate(message) if compressed else message

    def _inflate(self, message):
        self.compressed += 1
        # The server may keep its context, so this one is kept, and serves both.
        return self.inflater.decompress(message + b"\0\0\xff\xff")

    def _read_frame(self):
        first, second = self._read(2)
        if second & 0x80:
            raise ProtocolError("a frame of the server is masked")
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        return bool(first & 0x80), first & 0x70, first & 0x0F, self._read(length)

    def _read(self, count):
        while len(self.unread) < count:
            self._read_more()
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def _read_more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ProtocolError("the server ended the connection")
        self.unread += data

    def close(self):
        self.socket.close()


def frame(opcode, payload):
    """A single masked frame."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, length)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))
