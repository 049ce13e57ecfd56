"""Log lines: stable, masked, and few."""

from __future__ import annotations

import io
import json
import logging
import threading

import pytest

from leasekeeper.errors import VaultUnavailable
from leasekeeper.telemetry import events
from leasekeeper.telemetry.redaction import Redactor, redactor, strings_in
from leasekeeper.telemetry.trouble import Trouble
from tests.captured_logs import capture_logs


def test_a_live_secret_is_masked_wherever_it_turns_up() -> None:
    masked = Redactor()
    masked.protect("db", ["hunter2-canary", 'quo"ted\ncanary'])

    assert masked.redact("x hunter2-canary y") == "x [redacted] y"
    assert "canary" not in masked.redact(json.dumps({"a": 'quo"ted\ncanary'}))


def test_the_value_before_the_last_rotation_is_still_masked() -> None:
    masked = Redactor()
    masked.protect("db", ["canary-one"])
    masked.protect("db", ["canary-two"])

    assert masked.redact("canary-one canary-two") == "[redacted] [redacted]"


def test_each_long_line_of_a_key_is_masked_alone() -> None:
    masked = Redactor()
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    masked.protect("pki", [f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n"])

    assert line not in masked.redact(f"bad line: {line}")


def test_short_values_are_left_because_they_hide_nothing() -> None:
    masked = Redactor()
    masked.protect("db", ["5432", "true"])

    assert masked.redact("port 5432 is true") == "port 5432 is true"


def test_every_string_of_a_decoded_answer_is_found() -> None:
    assert set(strings_in({"a": "x", "b": [{"c": "y"}, 1, None], "d": ("z",)})) == {"x", "y", "z"}


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    events.configure("info", "json", stream)
    return stream


def test_an_event_is_one_line_of_json(out: io.StringIO) -> None:
    events.log.info("token.renewed", ttl_s=5, name="x\ny")

    line = json.loads(out.getvalue())
    assert list(line)[:3] == ["time", "level", "event"]
    assert line["event"] == "token.renewed"
    assert line["ttl_s"] == 5
    assert out.getvalue().count("\n") == 1


def test_tracebacks_and_library_messages_are_masked(out: io.StringIO) -> None:
    redactor.protect("test", ["canary-in-a-traceback"])
    try:
        raise ValueError("canary-in-a-traceback")
    except ValueError as error:
        events.log.error("bad.thing", exc_info=error)
    logging.getLogger("aiohttp").warning("sent %s", "canary-in-a-traceback")

    assert "canary" not in out.getvalue()
    assert out.getvalue().count("[redacted]") >= 2


def test_debug_output_of_libraries_is_never_written() -> None:
    stream = io.StringIO()
    events.configure("debug", "json", stream)
    logging.getLogger("botocore").debug("Authorization: secret")
    events.log.debug("ours.seen")

    assert "Authorization" not in stream.getvalue()
    assert "ours.seen" in stream.getvalue()


def test_text_that_is_not_unicode_is_written_all_the_same(out: io.StringIO) -> None:
    events.log.info("file.seen", path="/tmp/\udcff")

    assert "\\udcff" in out.getvalue()


def test_a_reader_that_has_gone_away_does_not_matter() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    events.configure("info", "json", Gone())
    events.log.info("any.thing")


def test_what_logs_in_the_middle_of_a_line_does_not_stop_us() -> None:
    """What the interpreter throws away at any moment may log its end."""

    class Talking(io.StringIO):
        talked = False

        def write(self, text: str) -> int:
            if not self.talked:
                self.talked = True
                events.log.info("in.between")
            return super().write(text)

    stream = Talking()
    events.configure("info", "json", stream)
    events.log.info("any.thing")

    names = {json.loads(line)["event"] for line in stream.getvalue().splitlines()}
    assert names == {"any.thing", "in.between"}


def test_what_logs_in_the_middle_of_a_line_waits_for_no_library() -> None:
    in_library, in_line = threading.Event(), threading.Event()

    class Slow:
        def __str__(self) -> str:
            in_library.set()
            in_line.wait(10)
            return "slow"

    class Talking(io.StringIO):
        def write(self, text: str) -> int:
            if not in_line.is_set():
                in_line.set()
                logging.getLogger("any").warning("in between")
            return super().write(text)

    stream = Talking()
    events.configure("info", "json", stream)
    library = threading.Thread(target=logging.getLogger("any").warning, args=[Slow()], daemon=True)
    library.start()
    in_library.wait(10)
    ours = threading.Thread(target=events.log.info, args=["any.thing"], daemon=True)
    ours.start()
    for thread in (ours, library):
        thread.join(10)

    told = {json.loads(line).get("message") for line in stream.getvalue().splitlines()}
    assert told == {"slow", "in between", None}


def test_nothing_is_written_before_somebody_says_where(
    capfd: pytest.CaptureFixture[str],
) -> None:
    events.Log().error("any.thing")

    assert capfd.readouterr() == ("", "")


async def test_only_the_first_failure_and_the_recovery_are_told() -> None:
    trouble = Trouble("secret.fetch", secret="a")
    with capture_logs() as logs:
        for _ in range(5):
            trouble.failed(VaultUnavailable("no answer"))
        trouble.failed(VaultUnavailable("sealed", hint="unseal it"))
        trouble.recovered()
        trouble.recovered()

    told = [(line["event"], line["log_level"]) for line in logs if line["log_level"] != "debug"]
    assert told == [
        ("secret.fetch_failed", "warning"),
        ("secret.fetch_failed", "warning"),
        ("secret.fetch_recovered", "info"),
    ]
    assert logs[-1]["failures"] == 6
