"""What happens when things break, measured from outside: Leasekeeper and `bao agent` side by side.

====================  ==============================================================
`__main__`            `python -m tests.chaos`: the command line (`make chaos`)
`registry`            what a scenario is, what it finds, and the list of all
`scenarios/`          the scenarios, by what breaks
`storm`               random faults from a seed, with invariants (scenario `random-faults`)
`runner`              runs scenarios beside each other in one local world
`stage`               one scenario for one subject: what a scenario is played with
`lane`                one subject's own roles, policies, gateway and wire in the world
`wire`                TCP between the subject and the gateway: refuses, or goes silent
`subjects`            Leasekeeper and `bao agent` as processes, from one plan
`application`         a process that logs in to PostgreSQL with what is on disk, 20 times a second
`witness`             OpenBao's audit log and PostgreSQL's roles
`soak`                `python -m tests.chaos.soak`: does anything grow (`make soak`)
`report`              tables on the terminal and in docs/reliability.md
====================  ==============================================================

Nothing here is collected by pytest; `tests/e2e/test_chaos_suite.py` plays a few short scenarios.
"""
