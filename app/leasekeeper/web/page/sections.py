"""The status page, section by section. Nothing in it moves by itself.

A section is the same text as long as nothing has happened, so only what is new has to be sent:
"in 5 s", and the marks for now, are the script's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from leasekeeper.web.document import (
    Event,
    OutputStatus,
    Problem,
    SecretStatus,
    Status,
    TokenStatus,
    VaultStatus,
)
from leasekeeper.web.page.markup import clock, fault, moment, pill, text
from leasekeeper.web.page.timeline import LEGEND, Life, line

T = TypeVar("T", SecretStatus, OutputStatus)

MOST_ROWS = 100
"""Of secrets and of outputs; what is wrong and what ends soonest comes first then."""
MOST_EVENTS = 30
_STATES = {"starting": "wait", "healthy": "good", "degraded": "warn", "unhealthy": "bad"}
_OUTPUTS = {"published": "good", "unchanged": "good", "waiting": "wait", "failed": "bad"}
_LEVELS = {"info": "soft", "warning": "warn", "error": "bad"}


def sections(status: Status) -> dict[str, str]:
    """Return the inside of each section of the page, by its id."""
    return {
        "summary": _summary(status),
        "problems": _problems(status),
        "token": _token(status["token"], status["now"]),
        "secrets": _secrets(status["secrets"], status["now"]),
        "outputs": _outputs(status["outputs"]),
        "others": _others(status),
        "events": _events(status["events"]),
    }


def title(status: Status) -> str:
    """Return the page's title."""
    return f"{status['state']} - Leasekeeper"


# -- the top ------------------------------------------------------------------------------------


def _summary(status: Status) -> str:
    state = pill(status["state"], _STATES[status["state"]])
    return (
        f'<div><h2>Outage budget <span aria-live="polite">{state}</span></h2>'
        f"{_budget(status)}</div><div>{_vault(status)}</div>"
    )


def _budget(status: Status) -> str:
    until = status["outage_budget_until"]
    if status["state"] == "starting":
        return '<p class="budget">starting</p><p>Not every file has been in place once.</p>'
    if until is None:
        return '<p class="budget">no limit</p><p>Nothing on disk ever stops working.</p>'
    if status["outage_budget_seconds"] == 0:
        return '<p class="budget bad">used up</p><p>Something on disk has stopped working.</p>'
    vault = status["vault"]
    away = vault is not None and not vault["reachable"]
    words = (
        "Vault is away. Everything on disk works until"
        if away
        else "If Vault went away now, everything on disk would work until"
    )
    kind = "budget warn" if away else "budget"
    return f'<p class="{kind}">{moment(until, "left")}</p><p>{words} {clock(until)} UTC.</p>'


def _vault(status: Status) -> str:
    vault, shared = status["vault"], status["shared"]
    if vault is None:
        leader = text(shared["leader"]) if shared and shared["leader"] else "nobody"
        return f"<h2>Standing by</h2><p>The files are written by <code>{leader}</code>.</p>"
    reach = pill("reachable", "good") if vault["reachable"] else pill("unreachable", "bad")
    if vault["since"] is not None:
        reach += f' <span class="soft">for {moment(vault["since"], "for")}</span>'
    rows = [
        ("address", f"<code>{text(vault['address'])}</code>"),
        ("newest answer", _milliseconds(vault["latency_seconds"])),
    ]
    if vault["clock_offset_seconds"] is not None:
        rows.append(("clock", f"{vault['clock_offset_seconds']:+.0f} s from ours"))
    return f"<h2>Vault {reach}</h2>{_list(rows)}{_sparks(vault)}"


def _sparks(vault: VaultStatus) -> str:
    """Return the newest latencies as bars, the longest of them as high as the picture."""
    took = vault["latencies_seconds"]
    if len(took) < 2:
        return ""
    most, width = max(took) or 1.0, 100 / len(took)
    bars = "".join(
        f'<rect x="{index * width:.2f}%" width="{width * 0.7:.2f}%" '
        f'y="{100 - high:.1f}%" height="{high:.1f}%"/>'
        for index, high in enumerate(max(each / most * 100, 3.0) for each in took)
    )
    label = f"The newest {len(took)} answers took at most {_milliseconds(most)}."
    return (
        f'<svg class="spark" role="img" aria-label="{label}">{bars}</svg>'
        f'<p class="soft">{label}</p>'
    )


def _milliseconds(seconds: float | None) -> str:
    return "none yet" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _problems(status: Status) -> str:
    found = [("Vault cannot be reached", status["vault"]["error"])] if status["vault"] else []
    found += [("token", status["token"]["error"])] if status["token"] else []
    found += [(f"secret {each['name']}", each["error"]) for each in status["secrets"]]
    found += [(f"output {each['name']}", each["error"]) for each in status["outputs"]]
    found += [
        (f"notification for {each['name']}", each["notify"]["error"])
        for each in status["outputs"]
        if each["notify"] is not None
    ]
    found += [(f"sink {each['path']}", each["error"]) for each in status["sinks"]]
    if status["state_store"] is not None:
        found.append(("state", status["state_store"]["error"]))
    lasting = [(what, error) for what, error in found if error is not None]
    said = {words for what, error in lasting for words in (what, f"{what}: {_whole(error)}")}
    items = [f"<p>{text(reason)}</p>" for reason in status["reasons"] if reason not in said]
    items += [f"<h3>{text(what)}</h3>{fault(error)}" for what, error in lasting]
    if not items:
        return ""
    shown = "".join(f"<li>{item}</li>" for item in items[:MOST_ROWS])
    return f"<h2>What is wrong</h2><ul>{shown}</ul>{_rest(len(items))}"


def _whole(error: Problem) -> str:
    return f"{error['message']} ({error['hint']})" if error["hint"] else error["message"]


# -- lives --------------------------------------------------------------------------------------


def _token(token: TokenStatus | None, now: str | None) -> str:
    if token is None:
        return ""
    if token["issued"] is None or now is None:
        return "<h2>Token</h2><p>There is no live token.</p>"
    following = token["next"]
    life = Life(
        issued=token["issued"],
        renewed=token["renewed"],
        next=following["at"] if following["action"] == "renewal" else None,
        rotation=token["handover"],
        rotation_name="next login",
        expires=token["expires"],
    )
    about = [f"{_times(token['renewals'], 'renewal')}", _times(token["logins"], "login")]
    if token["final"]:
        about.append("cannot be extended any more")
    if token["accessor_hash"]:
        about.append(f"accessor <code>#{text(token['accessor_hash'])}</code>")
    next_ = _next(following["action"], following["at"])
    return (
        f'<h2>Token</h2><div class="life"><p class="top"><span>{next_}</span>'
        f'<span class="soft">{" · ".join(about)}</span></p>{line(life, now)}</div>'
    )


def _secrets(secrets: Sequence[SecretStatus], now: str | None) -> str:
    if not secrets or now is None:
        return ""
    shown, rest = _most_urgent(secrets, lambda each: each["valid_seconds"])
    return f"<h2>Secrets</h2>{LEGEND}{''.join(_secret(each, now) for each in shown)}{rest}"


def _secret(secret: SecretStatus, now: str) -> str:
    kind = (secret["kind"] or "not fetched yet").replace("_", " ")
    about = [kind, f"generation {secret['generation']}"]
    if secret["kind"] == "leased":
        about.append(_times(secret["renewals"], "renewal"))
    if secret["lease_hash"]:
        about.append(f"lease <code>#{text(secret['lease_hash'])}</code>")
    state = pill("failing", "bad") if secret["error"] else ""
    top = (
        f'<div class="top"><h3>{text(secret["name"])}</h3>{state}'
        f"<span>{_next(*_next_change(secret))}</span>"
        f'<span class="soft">{" · ".join(about)}</span></div>'
    )
    body = "" if secret["issued"] is None else line(_life(secret, secret["issued"]), now)
    return f'<article class="life">{top}{body}</article>'


def _next_change(secret: SecretStatus) -> tuple[str, str | None]:
    """Return what happens to the value next: a probe only looks."""
    if secret["error"] is not None or secret["kind"] is None:
        return "retry", secret["next"]["at"]
    renewal, rotation = secret["renewal"], secret["rotation"]
    if renewal is not None and (rotation is None or renewal <= rotation):
        return "renewal", renewal
    if rotation is None:
        return "none", None
    return ("new value" if secret["kind"] in ("leased", "certificate") else "reading"), rotation


def _life(secret: SecretStatus, issued: str) -> Life:
    read = secret["expires"] is None or secret["kind"] == "static_role"
    return Life(
        issued=issued,
        renewed=secret["renewed"],
        next=secret["rotation"] if read else secret["renewal"],
        next_name="reading" if read else "renewal",
        rotation=None if read else secret["rotation"],
        expires=secret["expires"],
    )


def _next(action: str, at: str | None) -> str:
    if action == "none":
        return "nothing is planned"
    return f"next: {action} {moment(at, never='now')}"


# -- tables ---------------------------------------------------------------------------------------


def _outputs(outputs: Sequence[OutputStatus]) -> str:
    if not outputs:
        return ""
    shown, rest = _most_urgent(outputs, lambda each: each["valid_seconds"])
    head = ("output", "state", "generation", "published", "valid until", "notified", "last error")
    rows = [
        (
            text(each["name"]) + _group(each),
            _output_state(each),
            f"{each['generation']}",
            moment(each["published"], never="not yet"),
            _until(each),
            _notified(each),
            fault(each["error"]) or _waiting(each) or "none",
        )
        for each in shown
    ]
    return f"<h2>Outputs</h2>{_table('outputs', 'The files of the application', head, rows)}{rest}"


def _group(output: OutputStatus) -> str:
    if output["group"] is None:
        return ""
    return f' <span class="soft">in {text(output["group"])}</span>'


def _output_state(output: OutputStatus) -> str:
    if output["expired"]:
        return pill("expired", "bad")
    return pill(output["state"], _OUTPUTS[output["state"]])


def _until(output: OutputStatus) -> str:
    if not output["generation"]:
        return ""
    if output["expires"] is None:
        return "for ever"
    return f"<span>{clock(output['expires'])}, {moment(output['expires'])}</span>"


def _notified(output: OutputStatus) -> str:
    told = output["notify"]
    if told is None:
        return "not set up"
    when = f" {moment(told['last_success'])}" if told["last_success"] else ""
    return f"<span>{text(told['result'])}{when}</span>"


def _waiting(output: OutputStatus) -> str:
    names = ", ".join(output["waiting_for"])
    return f"waiting for {text(names)}" if names else ""


def _others(status: Status) -> str:
    rows = [
        (
            f"token file {text(each['path'])}",
            pill("written", "good") if each["settled"] else pill("not written", "warn"),
        )
        for each in status["sinks"]
    ]
    if (app := status["application"]) is not None:
        kind = "good" if app["state"] == "running" else "warn"
        started = f"{_times(app['starts'], 'start')}, {moment(app['started'], never='never')}"
        rows.append(("application", f"<span>{pill(app['state'], kind)} {started}</span>"))
    if (store := status["state_store"]) is not None:
        kept = pill("failing", "bad") if store["error"] else pill("kept", "good")
        rows.append(("state for a restart", kept))
    if (shared := status["shared"]) is not None:
        leads = "this task leads" if shared["leading"] else "another task leads"
        rows.append(("shared volume", f"<span>{leads}, term {shared['term']}</span>"))
    if not rows:
        return ""
    head = ("what", "state")
    return f"<h2>More</h2>{_table('more', 'Token files and the process', head, rows)}"


def _events(events: Sequence[Event]) -> str:
    if not events:
        return ""
    items = "".join(_event(each) for each in events[:MOST_EVENTS])
    return f"<h2>Recent events</h2><ol>{items}</ol>"


def _event(event: Event) -> str:
    level = _LEVELS.get(event["level"] or "", "soft")
    fields = " ".join(f"{key}={value}" for key, value in event["fields"].items())
    name = f'<span class="{level}">{text(event["event"])}</span>'
    if level in ("warn", "bad"):
        name = f'<strong class="{level}">{text(event["event"])}</strong>'
    at = (event["time"] or "").partition(".")[0].rstrip("Z")
    return (
        f'<li><span class="soft">{text(at.partition("T")[2])}</span>{name}'
        f'<span class="fields">{text(fields)}</span></li>'
    )


# -- parts ----------------------------------------------------------------------------------------


def _most_urgent(rows: Sequence[T], left: Callable[[T], float | None]) -> tuple[Sequence[T], str]:
    """Return what fits, in its order if all does, and a line about the rest."""
    if len(rows) <= MOST_ROWS:
        return rows, ""

    def urgency(row: T) -> tuple[bool, float]:
        seconds = left(row)
        return (row["error"] is None, float("inf") if seconds is None else seconds)

    return sorted(rows, key=urgency)[:MOST_ROWS], _rest(len(rows))


def _rest(count: int) -> str:
    if count <= MOST_ROWS:
        return ""
    return f'<p class="soft">and {count - MOST_ROWS} more, in <a href="status">/status</a></p>'


def _table(id_: str, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(
            f'<td data-name="{name}"><div>{cell}</div></td>'
            for name, cell in zip(head[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" id="scroll-{id_}" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><caption>{caption}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows)}</dl>"


def _times(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
