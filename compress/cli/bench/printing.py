"""How the rows of a benchmark are printed, one by one as they are measured: as text, or as JSON."""

import json
import os
from typing import Any

from .row import Row, verdicts


class AsText:
    """Rows as text, then the verdict and the machine."""

    def __init__(self, machine: dict[str, Any], columns: int | None) -> None:
        self.machine, self.columns = machine, columns
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """One more."""
        self.rows.append(row)
        print(row.text(self.columns), flush=True)

    def end(self, load: float) -> None:
        """After the last of them, with the load of the machine by then."""
        from ..terminal import folded

        totals = ", ".join(f"{count} {verdict}" for verdict, count in verdicts(self.rows).items())
        machine = "; ".join(f"{name} {value}" for name, value in {**self.machine, "load after": load}.items())
        print(folded(f"\nbars: {totals}\n{machine}", self.columns))
        if self.machine["load before"] > (os.cpu_count() or 1):
            busy = "The machine was busy: shares of a peak and microseconds come out worse than they are."
            print(folded(busy, self.columns))

    def cut_off(self) -> str:
        """What an interrupt says."""
        return _measured(self.rows)


class AsJson:
    """One document, a row a line: whole at the end, also of a run that is interrupted, and of one that is
    killed all its rows."""

    def __init__(self, machine: dict[str, Any], columns: int | None) -> None:
        self.rows: list[Row] = []
        head = json.dumps({"machine": machine}, indent=1, ensure_ascii=False).removesuffix("\n}")
        print(f'{head},\n"rows": [', end="", flush=True)

    def add(self, row: Row) -> None:
        """One more."""
        line = json.dumps(row.to_json(), ensure_ascii=False)
        print(f"{',' if self.rows else ''}\n{line}", end="", flush=True)
        self.rows.append(row)

    def end(self, load: float) -> None:
        """After the last of them, with the load of the machine by then."""
        print(self._rest(complete=True, load=load))

    def cut_off(self) -> str:
        """Close the document, past Python's own output, which may be in the middle of something."""
        os.write(1, self._rest(complete=False).encode())
        return _measured(self.rows)

    def _rest(self, complete: bool, **more: Any) -> str:
        rest = {"bars": verdicts(self.rows), "complete": complete, **more}
        return f"\n],\n{json.dumps(rest, indent=1)[1:]}\n"


def _measured(rows: list[Row]) -> str:
    return "1 row was measured" if len(rows) == 1 else f"{len(rows)} rows were measured"
