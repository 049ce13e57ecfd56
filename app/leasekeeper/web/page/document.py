"""The whole page, and what a browser may do with it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from leasekeeper import __version__
from leasekeeper.web.document import Status
from leasekeeper.web.page.markup import clock, text
from leasekeeper.web.page.sections import sections, title

_NAMES = {
    "summary": "Outage budget and Vault",
    "problems": "What is wrong",
    "token": "Token",
    "secrets": "Secrets",
    "outputs": "Outputs",
    "others": "More",
    "events": "Recent events",
}


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Return the Content-Security-Policy: our own style and script by their hashes, no other."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(_asset('page.css'))}",
            f"script-src {_hash(_asset('page.js'))}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def page(status: Status) -> str:
    """Return the page as a browser gets it first; later it asks for what has changed."""
    body = "\n".join(
        f'<section id="{name}" aria-label="{_NAMES[name]}">{inside}</section>'
        for name, inside in sections(status).items()
    )
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title(status))}</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="10"></noscript>
<style>{_asset("page.css")}</style>
</head>
<body data-now="{text(status["now"])}">
<a class="skip" href="#main">Skip to the status</a>
<header>
<h1>Leasekeeper</h1>
<span class="soft">{text(__version__)}</span>
<span class="live soft" id="live" role="status">as of {clock(status["now"])} UTC</span>
</header>
<main id="main">
{body}
</main>
<footer>
<span>All times are UTC. No value of a secret is on this page.</span>
<a href="status">status</a> <a href="health">health</a> <a href="metrics">metrics</a>
</footer>
<script>{_asset("page.js")}</script>
</body>
</html>
"""
