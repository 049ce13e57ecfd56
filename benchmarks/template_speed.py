"""How fast a template compiles and renders.

The template below is ten lines, as in most configuration files that hold a credential. Rendering
includes the look-up of the secret; nothing is read, written or sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import JsonNumber, VaultResponse

TEMPLATE = """\
{
  {{- with secret "database/creds/product" }}
  "db_connection": "host=db port=5432 user={{ .Data.username }} password={{ .Data.password }}",
  "username": {{ .Data.username | toJSON }},
  "lease_seconds": {{ .LeaseDuration }},
  {{- range $i, $host := .Data.hosts }}
  "host_{{ $i }}": "{{ $host | toUpper }}:{{ printf "%05d" 5432 }}",
  {{- end }}{{ end }}
  "bind_address": ":9090"
}
"""

PATH = "database/creds/product"
ANSWER = VaultResponse(
    lease_id="database/creds/product/1",
    lease_duration_s=3600,
    renewable=True,
    data={
        "username": "v-token-product-x7Yz",
        "password": "A1a-q9W8e7R6",
        "hosts": ["alpha", "beta"],
        "port": JsonNumber("5432"),
    },
)
SNAPSHOT = Snapshot(
    request=SecretRequest.read(PATH),
    kind=SecretKind.LEASED,
    response=ANSWER,
    generation=1,
    issued_at=0.0,
)
MEASURED_S = 1.0


def per_second(work: Callable[[], object]) -> float:
    """Return how often *work* can be done in a second."""
    work()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < MEASURED_S:
        for _ in range(100):
            work()
        count += 100
    return count / elapsed


def compiled() -> Template:
    """Compile the template."""
    return Template.compile(TEMPLATE, name="product.json", functions=library())


def microseconds() -> tuple[float, float]:
    """Return how long one render and one compilation take."""
    template = compiled()
    context = RenderContext(secret={SecretRequest.read(PATH): SNAPSHOT}.get)
    return 1e6 / per_second(lambda: template.render(context)), 1e6 / per_second(compiled)
