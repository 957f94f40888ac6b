"""Drives WebSocket connections of `stomp.py` as it is told: tests/stomp/program.rs lists commands and events.

The library's WebSocket class speaks STOMP 1.2 alone; for 1.1 and 1.0 the same transport is put under its other protocol
classes. The transport is only listened in on: close codes and heart-beats pass by its users.
"""

import json
import os
import socket
import struct
import sys
import threading
from urllib.parse import urlsplit

# No look-up of this machine's names on import, and no proxy before a loopback address.
os.environ["STOMP_SKIP_HOSTNAME_SCAN"] = "1"
os.environ["no_proxy"] = "*"

import stomp
import stomp.utils
from stomp.adapter.ws import WSStompConnection, WSTransport
from stomp.connect import BaseConnection, StompConnection10, StompConnection11
from stomp.protocol import Protocol10, Protocol11
from websocket import ABNF

stdout = threading.Lock()


def tell(event, id, **more):
    line = json.dumps({"event": event, "id": id, **more}) + "\n"
    with stdout:
        sys.stdout.write(line)
        sys.stdout.flush()


class WSStompConnection11(StompConnection11):
    def __init__(self, transport, heartbeats, heart_beat_receive_scale):
        BaseConnection.__init__(self, transport)
        Protocol11.__init__(self, transport, heartbeats, heart_beat_receive_scale=heart_beat_receive_scale)


class WSStompConnection10(StompConnection10):
    def __init__(self, transport):
        BaseConnection.__init__(self, transport)
        Protocol10.__init__(self, transport)


def make(version, beats, **transport):
    # A busy machine may hold up the server's beats.
    scale = 10
    if version == "1.0":
        return WSStompConnection10(WSTransport(**transport))
    if version == "1.1":
        return WSStompConnection11(WSTransport(**transport), beats, scale)
    connection = WSStompConnection(**transport, heartbeats=beats, heart_beat_receive_scale=scale)
    # What it asks for, where that is not 1.2.
    connection.version = version
    return connection


class Connection(stomp.ConnectionListener):
    def __init__(self, id, options):
        self.id = id
        self.options = options
        self.messages = []
        self.is_mute = False
        self.is_closed = False
        (self.version,) = options["versions"]
        url = urlsplit(options["url"])
        offered = options.get("subprotocols")
        self.stomp = make(
            self.version,
            tuple(options["beats"]),
            host_and_ports=[(url.hostname, url.port)],
            vhost=options["headers"].get("host"),
            ws_path=url.path,
            header=offered and ["Sec-WebSocket-Protocol: " + ", ".join(offered)],
            auto_decode=False,
            binary_mode=options.get("binary", False),
            reconnect_attempts_max=1,
        )
        self.listen_in()
        self.stomp.set_listener("driver", self)

    def listen_in(self):
        transport = self.stomp.transport
        attempt_connection, send = transport.attempt_connection, transport.send

        def attempt_and_listen():
            attempt_connection()
            receive = transport.socket.recv_data

            def recv_data():
                opcode, data = receive()
                if opcode == ABNF.OPCODE_CLOSE:
                    code = struct.unpack("!H", data[:2])[0] if data else 1005
                    self.tell_closed(code, data[2:].decode())
                return opcode, data

            transport.socket.recv_data = recv_data

        def send_unless_mute(frame):
            if frame == b"\n":
                if self.is_mute:
                    return
                tell("beat_sent", self.id)
            send(frame)

        transport.attempt_connection = attempt_and_listen
        transport.send = send_unless_mute

    def connect(self):
        self.is_closed = False
        headers = self.options["headers"]
        try:
            self.stomp.connect(headers.get("login"), headers.get("passcode"))
        except Exception as error:
            tell("failed", self.id, error=repr(error))

    def reconnect(self):
        self.connect()

    def send(self, destination, headers, text=None, binary=None):
        self.stomp.send(destination, text if binary is None else bytes.fromhex(binary), headers=headers)

    def subscribe(self, destination, subscription, headers):
        self.stomp.subscribe(destination, subscription, **{"ack": "auto", **headers})

    def unsubscribe(self, subscription, headers):
        self.stomp.unsubscribe(id=subscription, headers=headers)

    def ack(self, message, headers):
        self.stomp.ack(*self.names_of(message), **headers)

    def nack(self, message, headers):
        self.stomp.nack(*self.names_of(message), **headers)

    def names_of(self, message):
        headers = self.messages[message]
        if self.version == "1.2":
            return [headers["ack"]]
        if self.version == "1.1":
            return [headers["message-id"], headers["subscription"]]
        return [headers["message-id"]]

    def begin(self, transaction, **more):
        self.stomp.begin(transaction, **more)

    def commit(self, transaction, **more):
        self.stomp.commit(transaction, **more)

    def abort(self, transaction, **more):
        self.stomp.abort(transaction, **more)

    def disconnect(self, receipt=None):
        # It returns when the receipt has come.
        threading.Thread(target=self.stomp.disconnect, args=[receipt], daemon=True).start()

    def mute(self):
        self.is_mute = True

    def cut(self):
        self.stomp.transport.socket.sock.shutdown(socket.SHUT_RDWR)

    def tell_closed(self, code, reason):
        if not self.is_closed:
            self.is_closed = True
            tell("closed", self.id, code=code, reason=reason)

    def on_connected(self, frame):
        subprotocol = self.stomp.transport.socket.getheaders().get("sec-websocket-protocol", "")
        # A server of 1.0 does not name its version.
        version = frame.headers.get("version", "")
        tell("connected", self.id, version=version, subprotocol=subprotocol, headers=frame.headers)

    def on_message(self, frame):
        self.messages.append(frame.headers)
        number = len(self.messages) - 1
        # In 1.0 a message names its subscription only where SUBSCRIBE had an id.
        subscription = frame.headers.get("subscription", "")
        tell("message", self.id, number=number, subscription=subscription, headers=frame.headers, **body(frame))

    def on_receipt(self, frame):
        tell("receipt", self.id, receipt=frame.headers["receipt-id"])

    def on_error(self, frame):
        tell("error", self.id, headers=frame.headers, **body(frame))

    def on_heartbeat(self):
        tell("beat", self.id)

    def on_disconnected(self):
        # A close frame has been told when it came.
        self.tell_closed(1006, "")


def body(frame):
    content = frame.body or b""
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"binary": content.hex()}


def main():
    connections = {}
    for line in sys.stdin:
        command = json.loads(line)
        what, id = command.pop("do"), command.pop("id")
        try:
            if what == "connect":
                connections[id] = Connection(id, command)
                connections[id].connect()
            else:
                getattr(connections[id], what)(**command)
        except Exception as error:
            tell("failed", id, error=f"{what}: {error!r}")


main()
