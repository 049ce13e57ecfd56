"""What a run of the benchmark came to."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Results:
    """Records of single runs, and the machine and versions they were made with."""

    machine: dict[str, str]
    records: list[dict[str, Any]]

    def median(self, scenario: str, work: str, program: str, metric: str) -> float | None:
        """Return the median over all runs, or None if there was none."""
        found = [
            record["values"][metric]
            for record in self.records
            if (record["scenario"], record["work"], record["program"]) == (scenario, work, program)
        ]
        return statistics.median(found) if found else None

    def works(self, scenario: str) -> list[str]:
        """Return what was measured in *scenario*, in order."""
        return list(
            dict.fromkeys(
                record["work"] for record in self.records if record["scenario"] == scenario
            )
        )

    def as_json(self) -> str:
        """Return the text of the results file: a line for each record, rounded to 0.1 ms."""
        records = [
            {**each, "values": {key: round(value, 4) for key, value in each["values"].items()}}
            for each in self.records
        ]
        lines = ",\n".join(f"  {json.dumps(record)}" for record in records)
        return f'{{"machine": {json.dumps(self.machine)},\n "records": [\n{lines}\n]}}\n'
