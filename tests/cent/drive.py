"""Calls the HTTP API with `cent` as it is told: tests/api_clients.rs.

    drive.py sync|async API_URL API_KEY

A call comes in as a JSON object a line, `{"request": "PublishRequest", "parameters": {…}}`; a batch has `requests`, each of
the same form. What cent makes of the answer goes out: `{"result": {…}}`, or `{"error": …}` with the name of its exception.
"""

import asyncio
import json
import sys

import cent
from pydantic import BaseModel


def request_of(call):
    parameters = call.get("parameters", {})
    if "requests" in parameters:
        parameters["requests"] = [request_of(one) for one in parameters["requests"]]
    return getattr(cent, call["request"])(**parameters)


def plain(value):
    """What cent returns, as JSON; in a batch every result is an object of its own class."""
    if isinstance(value, cent.BatchResult):
        return {"replies": [plain(reply) for reply in value.replies]}
    return value.model_dump() if isinstance(value, BaseModel) else value


def told(error):
    about = {"error": type(error).__name__}
    for name in ("code", "message", "status_code"):
        if hasattr(error, name):
            about[name] = getattr(error, name)
    return about


def tell(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def drive(url, key):
    client = cent.Client(url, key)
    for line in sys.stdin:
        request = request_of(json.loads(line))
        try:
            tell({"result": plain(getattr(client, request.api_method)(request))})
        except cent.CentError as error:
            tell(told(error))


async def drive_async(url, key):
    async with cent.AsyncClient(url, key) as client:
        for line in sys.stdin:
            request = request_of(json.loads(line))
            try:
                tell({"result": plain(await getattr(client, request.api_method)(request))})
            except cent.CentError as error:
                tell(told(error))


kind, url, key = sys.argv[1:]
if kind == "sync":
    drive(url, key)
else:
    asyncio.run(drive_async(url, key))
