"""Every event that Leasekeeper logs: its level, its fields and what it means.

This is the one table: `docs/events.md` is made from it, and a test compares it with the code.
Nothing of a run needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# NAME LEVEL: FIELDS, and below it the meaning. The level of what a `Trouble` logs is `trouble`:
# NAME_failed is a warning and NAME_recovered information; what stands behind a slash are fields
# of failures alone. Fields need not all be there in every line.
_TABLE = r"""
agent.starting info: version vault auth outputs
    the configuration, the templates and the destinations are good; the work begins
agent.ready info: after_s
    everything has been in place once
agent.stopping info: because signal
    a signal or a request asks for the end
agent.stopped info: after_s
    the end: everything is closed
agent.still_starting warning: reasons
    every 15 s of a long start, with what is missing
agent.failed error: error exit_code hint code
    the process ends: why, the fix, and the exit code
agent.left_in_place info: because
    at the stop: token and files stay, because ECS does not stop the whole task
agent.stop_deadline_passed warning: deadline_s
    the clean stop was cut short
agent.crashed error: exit_code exception
    the process ends by a bug in Leasekeeper: please report the traceback
agent.bug error: task exception
    a bug in Leasekeeper, which ends one task and nothing else: please report the traceback
template.crashed error: output error at
    a bug in Leasekeeper while rendering; the last good file stays
app.notify_crashed error: output error
    a bug in Leasekeeper while telling the application
agent.state info:
    on SIGUSR1: what `/health` tells
file.backup_failed warning: output group sink because code
    the file before could not be kept as `.bak`; the new one is in place
agent.reloaded info: log_level added changed removed
    on SIGHUP: the configuration and its files have been read again and are in use; the
    destinations that are new, different, or not kept any more
agent.restart_needed warning: keys hint
    on SIGHUP: settings that are different, and have no effect until a restart
agent.reload_failed warning: problems code hint
    on SIGHUP: the configuration is not good, so nothing has changed
web.certificate_unusable warning: address error
    on SIGHUP: a certificate of `web.listeners` cannot be used; the old one stays
control.done info: action secret
    somebody on this machine asked for it: `refresh`, `rotate` or `quit`
control.refused warning: path because
    somebody on this machine asked without the token of this run
control.unavailable warning: error hint
    the token of the control API cannot be written, so there is none
library.logged warning/error: logger message exception
    what a library had to say
settings.doubtful warning: because
    what an operator should know about files of Vault Agent, with line
settings.ignored warning: variables because
    variables of the tutorial's image that a configuration file overrules
log.lines_dropped warning: lines
    nobody read standard output: so many lines are missing here
web.listening info: health metrics
    addresses of health and metrics
web.not_listening warning: error code
    `leasekeeper agent` without a `listener`: another process has the default port; there is
    no /health
vault.unreachable warning: error hint code
    nobody serves behind the address
vault.name trouble: host / reason
    DNS fails, or does not answer within a second: the addresses that it gave last are used
vault.reachable_again info: after_s
    and how long it took
clock.changed warning: missed_s
    the machine was suspended for `missed_s`, or (0) the wall clock jumped: token and leases
    are looked up at once
vault.tls_files_read info:
    a CA file or client certificate has changed and is used from now on
vault.tls_files_unusable warning: error hint code
    it has changed, and cannot be used: the last good one stays in use
token.uses_limited warning: uses hint
    the login's token may be used so often only, which a sidecar cannot live with
vault.not_protected warning: because
    plain HTTP to another machine, or TLS without verification
auth.caller_identified info: arn account_id source sts_region
    once: the ARN that Vault sees
auth.clock_corrected warning: offset_s hint
    our clock differs from Vault's by more than a minute
auth.credentials_read debug: source access_key
    where AWS credentials came from
auth.file_gone debug: error
    a file with credentials is not there any more; what was read last is used
auth.file_removed debug: path
    a file was removed after reading, as configured
task.metadata_unavailable debug: error
    the ECS task metadata endpoint does not answer
auth.file_not_removed warning: path error hint
    a file that was to be removed after reading is still there
auth.unwrap_refused warning: error hint
    a new wrapped secret id cannot be used, so the last one is: find out why
auth.credentials_refresh trouble:
    AWS credentials cannot be read; the last ones are used while they are good
token.login_succeeded info: method accessor ttl_s renewable policies request_id
    a new token: accessor, TTL, policies
token.login trouble: method
    there is no new token; with the fix
token.renewed info: accessor ttl_s request_id
    the same token, later end
token.renewal trouble:  / expires
    a renewal of the token had no answer; it is tried again
token.renewal_refused warning: accessor error hint expires
    Vault said no: the token is used to its end and replaced in time
token.handover_planned info: accessor reason login_in_s expires
    max TTL is near; when the next login comes
token.adopted info: accessor proven expires
    the token of the last run is used again; `proven: false` until Vault can be asked
token.not_adopted warning: accessor reason
    there is a token of the last run, and `reason` says why it is not used
token.rejected warning: accessor error hint
    the token was revoked; logging in again
token.revoked info: accessor
    at the end, if asked for: and with the token every lease that it made
token.revocation_failed warning: error code
    the same, but Vault did not do it: the token ends by itself
secret.fetched info: secret kind generation ttl_s request_id lease
    the first value
secret.rotated info: secret kind generation ttl_s request_id lease
    every later value
secret.adopted info: secret provisional
    the value of the last run is used again; `provisional` until Vault can be asked
secret.not_adopted info: secret reason
    the value of the last run is not used, and why
state.rejected warning: error hint code
    the state file cannot be used, and why; this run starts afresh and replaces it
state.write trouble:
    the state cannot be kept; everything else goes on
state.close_failed warning: error code
    the last write, or the removal, of the state failed at the end
state.leftover_revoked info: what lease
    a token or lease of the last run that nobody uses was revoked
state.leftover_kept warning: what error lease
    Vault refused that; it ends by itself
secret.released info: secret
    no output uses it since a reload, so it is not kept fresh any more
secret.mint_held warning: secret error hint until good_until code
    the secret's mint budget is spent; a new value is asked for at `until`
secret.fetch trouble: secret / good_until
    no new value; with path and capability if it is the policy
lease.renewed info: secret ttl_s truncated request_id lease
    the same credential, later end; `truncated` means that max TTL is near
lease.renewal trouble: secret / good_until
    Vault did not answer, or the engine behind it (a database, say) failed
lease.renewal_refused warning: secret error hint code
    the policy lacks renewing leases, or the lease cannot be renewed: every end of one is a
    rotation
lease.probe_refused warning: secret error hint
    the policy lacks looking leases up: one that is revoked is noticed late
lease.revoked info: secret lease
    no output uses the secret since a reload; or at the end, when the token cannot be revoked
lease.revocation_failed warning: secret lease error hint
    the same, but Vault did not do it: the lease ends by itself
lease.lost warning: secret error lease code
    Vault does not know the lease any more; a new one is made
output.waiting info: output waiting_for
    the secrets that an output waits for; not said of those that its first render asks for
template.render trouble: output
    template, line, column and expression, never a value; the last good file stays
file.published info: output generation bytes request_ids
    new content is in place; `exec.env` is the environment of the application
file.unchanged debug: output generation
    it was there already
file.publish trouble: output
    path and reason; the last good file stays
sink.written info: sink accessor wrapped encrypted
    a token file holds the new token; wrapped, encrypted
sink.write trouble: sink
    path and reason; the other sinks go on
sink.aad_missing warning: sink variable hint
    `aad_env_var` names a variable that is not set
leader.elected info: term
    this task leads those that share its volume, in the term named
leader.followed info: leader term
    another task leads: which, and in which term
leader.replaced warning: term error
    another task has taken over from this one, which stands by again
leader.look trouble: directory
    the folder of `shared.directory` cannot be read, locked or written
group.published info: group files
    the link of a group shows new files
group.clean_up trouble: group
    old generations of a group cannot be removed
file.dead_tasks_removed info: folders
    folders of tasks that are dead, found beside our own (`{task_id}` in a path)
file.removed info: output group sink
    at the end of the task, with `lifecycle.remove_files`
file.removal_failed warning: output group sink error code
    the same, but the volume refused or hung: the file is still there
file.repaired warning: output group sink repaired
    somebody else had changed or removed the file
file.owner_forced warning: output group sink uid gid mode hint
    the file system sets another owner (an EFS access point)
file.leftovers_removed info: files
    temporary files of a process that was killed
file.read trouble: path
    a file that a template reads cannot be read; what was read last is used
app.started info: program pid reason
    the application of `exec` runs: process id, `reason` first, environment or file
app.stopping info: pid signal because
    it was asked to end, with which signal, for a restart or at our end
app.killed warning: pid after_s
    it had not ended within `exec.kill_timeout`
app.exited error/info: exit_code signal
    it has ended by itself, with which code or signal; `error` unless that is 0
app.environment_outdated info: because
    a variable has changed, and `restart_on_secret_changes` is `never`
app.notified info: output
    the application was told
app.not_started debug: output
    there is no pid file yet
app.notify trouble: output
    the application could not be told; the file is in place all the same
"""
_HEAD = re.compile(r"(?P<name>\w+\.\w+) (?P<level>[a-z/]+):(?P<fields>[^/]*)(?:/(?P<failed>.*))?")


@dataclass(frozen=True, slots=True)
class Event:
    """One name that can stand in the log. A second level stands behind a slash."""

    name: str
    level: str
    fields: tuple[str, ...]
    meaning: str


def events() -> list[Event]:
    """Return the table, in its order."""
    entries = re.split(r"\n(?=\S)", _TABLE.strip())
    return [event for entry in entries for event in _read(entry)]


def _read(entry: str) -> Iterator[Event]:
    first, _, meaning = entry.partition("\n")
    head = _HEAD.fullmatch(first)
    assert head is not None, first
    name, level, fields = head["name"], head["level"], tuple(head["fields"].split())
    meaning = " ".join(meaning.split())
    if level != "trouble":
        yield Event(name, level, fields, meaning)
        return
    failed = (*fields, "error", "hint", "code", *(head["failed"] or "").split())
    yield Event(f"{name}_failed", "warning", failed, meaning)
    recovered = (*fields, "failures", "after_s")
    yield Event(f"{name}_recovered", "info", recovered, "it works again: after how many failures")
