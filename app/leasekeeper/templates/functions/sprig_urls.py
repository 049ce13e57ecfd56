"""sprig's functions on URLs, with the rules of Go's net/url."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import decode, encode, kind

functions = FunctionTable()

_UNRESERVED = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
_IN_PATH = _UNRESERVED + b"$&+,/:;=@"
_IN_USER = _UNRESERVED + b"$&+,;="
_IN_FRAGMENT = _UNRESERVED + b"$&+,/:;=?@!()*"
_IN_HOST = _UNRESERVED + b"!$&'()*+,;=:[]<>\""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """The parts of a URL, unescaped but for the query."""

    scheme: str = ""
    opaque: str = ""
    user: str | None = None
    """User and password, escaped as they stand in the URL."""
    host: str = ""
    path: str = ""
    query: str = ""
    fragment: str = ""

    @property
    def hostname(self) -> str:
        """The host without its port and without the brackets of an IPv6 address."""
        if self.host.startswith("["):
            return self.host[1:].partition("]")[0]
        return re.sub(":[0-9]*\\Z", "", self.host)


def parse_url(text: str) -> Url:
    """Return the parts of *text*.

    :raises GoError: ``parse "...": ...``.
    """
    try:
        return _parse(text)
    except _Fault as fault:
        msg = f"parse {quote(text.partition('#')[0])}: {fault}"
        raise GoError(msg) from None


class _Fault(Exception):
    pass


def _parse(text: str) -> Url:
    if re.search("[\x00-\x1f\x7f]", text):
        raise _Fault("net/url: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    scheme, rest = _split_scheme(rest)
    rest, _, query = rest.partition("?")
    fragment = _unescape(fragment)
    if scheme and not rest.startswith("/"):
        return Url(scheme=scheme, opaque=rest, query=query, fragment=fragment)
    if not rest.startswith("/") and ":" in rest.partition("/")[0]:
        raise _Fault("first path segment in URL cannot contain colon")
    user, host = None, ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(authority)
        rest = slash + path
    return Url(
        scheme=scheme,
        user=user,
        host=host,
        path=_unescape(rest),
        query=query,
        fragment=fragment,
    )


def _split_scheme(text: str) -> tuple[str, str]:
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text):
        return match[1].lower(), text[match.end() :]
    if text.startswith(":"):
        raise _Fault("missing protocol scheme")
    return "", text


def _authority(text: str) -> tuple[str | None, str]:
    user, at, host = text.rpartition("@")
    if at and not re.fullmatch(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", user):
        raise _Fault("net/url: invalid userinfo")
    return (_user(user) if at else None), _host(host)


def _user(text: str) -> str:
    name, colon, password = text.partition(":")
    shown = escape(_unescape(name), _IN_USER)
    return f"{shown}:{escape(_unescape(password), _IN_USER)}" if colon else shown


def _host(text: str) -> str:
    bracket = text.rfind("]")
    if text.startswith("[") and bracket < 0:
        raise _Fault("missing ']' in host")
    rest = text[bracket + 1 :]
    colon = rest.find(":") if text.startswith("[") else rest.rfind(":")
    if colon >= 0 and not re.fullmatch(":[0-9]*", rest[colon:]):
        raise _Fault(f"invalid port {quote(rest[colon:])} after host")
    invalid = re.search(rb"[^%\x80-\xff" + re.escape(_IN_HOST) + rb"]", encode(text))
    if invalid:
        raise _Fault(f"invalid character {quote(decode(invalid[0]))} in host name")
    return _unescape(text)


def _unescape(text: str) -> str:
    if "%" not in text:
        return text
    data = encode(text)
    bad = re.search(rb"%(?![0-9A-Fa-f]{2}).{0,2}", data, re.DOTALL)
    if bad:
        raise _Fault(f"invalid URL escape {quote(decode(bad[0]))}")
    return decode(re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), data))


def escape(text: str, allowed: bytes) -> str:
    """Return *text* with every byte that is not *allowed* as %XX."""
    return "".join(chr(byte) if byte in allowed else f"%{byte:02X}" for byte in encode(text))


def url_text(url: Url) -> str:
    """Return *url* as one text."""
    text = f"{url.scheme}:" if url.scheme else ""
    if url.opaque:
        text += url.opaque
    else:
        text += _hierarchical(url)
    text += f"?{url.query}" if url.query else ""
    return text + (f"#{escape(url.fragment, _IN_FRAGMENT)}" if url.fragment else "")


def _hierarchical(url: Url) -> str:
    path = escape(url.path, _IN_PATH)
    text = ""
    if url.scheme or url.host or url.user is not None:
        if url.host or url.path or url.user is not None:
            text = "//"
        text += f"{url.user}@" if url.user is not None else ""
        text += escape(url.host, _IN_HOST)
    if path and not path.startswith("/") and url.host:
        text += "/"
    if not text and ":" in path.partition("/")[0] and not url.scheme:
        text = "./"
    return text + path


@functions.add("sprig_urlParse", "string")
def url_parse(text: str) -> dict[str, Any]:
    """Return the parts of a URL as a map."""
    try:
        url = parse_url(text)
    except GoError as error:
        msg = f"unable to parse url: {error}"
        raise GoError(msg) from None
    return {
        "scheme": url.scheme,
        "host": url.host,
        "hostname": url.hostname,
        "path": url.path,
        "query": url.query,
        "opaque": url.opaque,
        "fragment": url.fragment,
        "userinfo": url.user or "",
    }


@functions.add("sprig_urlJoin", "map[string]interface {}")
def url_join(parts: dict[str, Any]) -> str:
    """Return a map of parts as one URL."""
    names = ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo")
    texts = {name: _text(parts, name) for name in names}
    user = texts.pop("userinfo")
    return url_text(Url(**texts, user=_parse(f"proto://{user}@host").user if user else None))


def _text(parts: dict[str, Any], name: str) -> str:
    value = parts.get(name, "")
    if kind(value) != "string":
        msg = f"unable to parse {name} key, must be of type string, but {kind(value)} found"
        raise GoError(msg)
    return str(value)
