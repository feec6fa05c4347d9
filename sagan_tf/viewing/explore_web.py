"""The page of `explore` over HTTP: it hands files and JSON on, and knows nothing of networks.

Nothing is loaded from outside. The header `Content-Security-Policy` lets a browser refuse it.
"""

import contextlib
import importlib.resources
import ipaddress
import json
import socket
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from werkzeug import exceptions, serving, wrappers

from sagan_tf import errors
from sagan_tf.viewing import explore_answers

_FILES = {
    "/": ("explore.html", "text/html"),
    "/explore.js": ("explore.js", "text/javascript"),
    "/explore.css": ("explore.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LARGEST = 48 * 2**20  # Bytes of a request.


class _Request(wrappers.Request):
    max_content_length = _LARGEST


class _Quiet(serving.WSGIRequestHandler):
    """Leaves out the line that every request would write on the terminal."""

    def log_request(self, *_, **__):
        """Nothing."""


class Application:
    """The page as a WSGI application; one request at a time reaches the networks.

    Args:
      answers: of the page.
      local: whether only this machine may ask.
      name: the machine's own, beside its addresses.
    """

    def __init__(
        self, answers: explore_answers.Answers, *, local: bool = True, name: str = "localhost"
    ):
        self._local = local
        self._names = (name.lower(), "localhost")
        self._lock = threading.Lock()
        self._answers: dict[str, Callable[[Any], wrappers.Response]] = {
            "/api/about": lambda fields: _json(answers.about(fields)),
            "/api/steps": lambda fields: _json(answers.steps(fields)),
            "/api/images": lambda fields: _json(answers.images(fields)),
            "/api/between": lambda fields: _json(answers.between(fields)),
            "/api/attention": lambda fields: _json(answers.attention(fields)),
            "/api/save": lambda fields: _file(*answers.save(fields)),
        }

    def __call__(self, environ, start_response):
        request = _Request(environ)
        try:
            response = self._respond(request)
        except exceptions.HTTPException as error:
            response = _sentence(_REASONS.get(error.code, error.description), error.code)
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _respond(self, request: wrappers.Request) -> wrappers.Response:
        if self._local and not is_own(request.host, self._names):
            raise exceptions.BadRequest  # Another site's name may not lead here.
        if request.path in _FILES:
            name, kind = _FILES[request.path]
            folder = importlib.resources.files("sagan_tf.viewing").joinpath("explore_page")
            return wrappers.Response(folder.joinpath(name).read_bytes(), mimetype=kind)

        # Other sites cannot send JSON without being asked first, and are never answered then.
        if request.path not in self._answers:
            raise exceptions.NotFound
        fields = _fields(request)

        # Whatever goes wrong, the page goes on.
        try:
            with self._lock:
                return self._answers[request.path](fields)
        except errors.UserError as error:
            return _sentence(explore_answers.tell(str(error)), 400)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            return _sentence(f"That failed; the terminal says more ({text})", 500)


def is_own(host: str, names: Sequence[str] = ()) -> bool:
    """Whether a host and its port are one of some names, or an address of the machine alone."""
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        return name in names or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _fields(request: wrappers.Request) -> dict[str, Any]:
    """What a page has sent; raises `HTTPException` where it is not an object of JSON."""
    try:
        fields = request.get_json()
    except RecursionError as error:  # Lists in lists, thousands deep.
        raise exceptions.BadRequest from error
    if not isinstance(fields, dict):
        raise exceptions.BadRequest
    return fields


# What the page says where the request itself is refused.
_REASONS = {
    400: "The page and the server do not understand each other; load the page again",
    404: "There is no such page; the page of sagan explore is at /",
    413: f"The picture is too large; choose one of less than {_LARGEST * 3 // 4 // 2**20} MB",
}


def _json(content: dict[str, Any], status: int = 200) -> wrappers.Response:
    return wrappers.Response(json.dumps(content), status=status, mimetype="application/json")


def _sentence(text: Any, status: Any) -> wrappers.Response:
    return _json({"error": str(text)}, status or 500)


def _file(name: str, content: bytes) -> wrappers.Response:
    response = wrappers.Response(content, mimetype="image/png")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def bracketed(host: str) -> str:
    """A name or an address as a URL has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def listening(answers: explore_answers.Answers, host: str, *, port: int) -> Iterator[Any]:
    """A server, as a context: `serve_forever()` serves, and `port` is its port.

    Args:
      answers: of the page.
      host: name or address that it listens on.
      port: 0 for one that is free.
    Raises:
      errors.UserError: the address is not this machine's, or the port is in use.
    """
    # Take the address.
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        taken = socket.create_server(address, family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.UserError(
            f"--host={host} --port={port}: cannot be listened on ({reason}); give an address of "
            "this machine and another port, or --port=0 for one that is free"
        ) from error

    # Serve there.
    with contextlib.closing(taken):
        address, found, *_ = taken.getsockname()
        application = Application(answers, local=is_own(bracketed(address)), name=host)
        server = serving.make_server(
            host,
            found,
            application,
            threaded=True,
            request_handler=_Quiet,
            fd=taken.fileno(),
        )
        try:
            yield server
        finally:
            server.server_close()
