"""Every scenario, by what breaks. Importing this registers them, in the order of the table."""

from tests.chaos.scenarios import (
    isolation,
    outages,
    random_faults,
    refusals,
    restarts,
    revocation,
    rotation,
    starts,
    web,
    writes,
)

IN_ORDER = (
    revocation,
    restarts,
    isolation,
    refusals,
    outages,
    rotation,
    writes,
    web,
    starts,
    random_faults,
)
