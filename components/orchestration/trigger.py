"""When a schedule starts runs: by the clock or by an interval."""

import re
from dataclasses import dataclass

from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import Object

SECONDS = {"m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
WORDS = ("@yearly", "@monthly", "@weekly", "@daily", "@hourly")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = dict(zip(MONTHS, (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)))


@dataclass(frozen=True)
class Trigger:
    """One of the two."""

    cron: str | None = None
    """Six fields, the first for seconds, or a word; in the time zone of the cluster's controller, usually UTC."""
    every_s: int | None = None

    @classmethod
    def of_cron(cls, text: str) -> "Trigger":
        """Reads what `--cron` is given: five fields as in a crontab, six with seconds first, or a word.

        Kubeflow Pipelines takes five fields for six whose last is missing: it would read `0 3 * * 1` as every hour's
        third minute in January.

        Raises:
            UserError: it is neither, or never comes.
        """
        fields = text.split()
        if len(fields) == 5 and not text.startswith("@"):
            fields = ["0", *fields]
        if len(fields) != 6 and text not in WORDS:
            raise UserError(
                f"--cron is {text!r}; give five fields (minute hour day month weekday), six with seconds first, or one "
                f"of {', '.join(WORDS)}"
            )
        if len(fields) == 6 and _never_comes(*fields[3:]):
            raise UserError(f"--cron is {text!r}, a day that no such month has; give another")
        return cls(cron=" ".join(fields))

    @classmethod
    def of_interval(cls, text: str) -> "Trigger":
        """Reads what `--every` is given: a whole number and m, h, d or w.

        Raises:
            UserError: it is something else.
        """
        found = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", text)
        if found is None:
            raise UserError(f"--every is {text!r}; give a number of minutes, hours, days or weeks, like 30m or 1d")
        return cls(every_s=int(found[1]) * SECONDS[found[2]])

    @classmethod
    def read(cls, raw: Object) -> "Trigger":
        """Reads what the server tells."""
        cron = (raw.get("cron_schedule") or {}).get("cron")
        every_s = (raw.get("periodic_schedule") or {}).get("interval_second")
        return cls(cron, None if every_s is None else int(every_s))

    def written(self, start: str | None) -> Object:
        """As the server wants it.

        Args:
            start: the time from which on it counts, such as 2026-01-31T03:00:00Z; None: from when it is made.
        """
        since = {"start_time": start} if start else {}
        if self.cron is not None:
            return {"cron_schedule": {"cron": self.cron, **since}}
        return {"periodic_schedule": {"interval_second": str(self.every_s), **since}}

    def __str__(self) -> str:
        if self.every_s is None:
            return f"at {self.cron}"
        unit = next(unit for unit in reversed(SECONDS) if self.every_s % SECONDS[unit] == 0 or unit == "m")
        number = self.every_s // SECONDS[unit]
        return f"every {number} {UNITS[unit]}" if number > 1 else f"every {UNITS[unit].removesuffix('s')}"


def _never_comes(day: str, month: str, weekday: str) -> bool:
    """Whether a day is meant like February the 30th, after which KFP's controller would search for ever."""
    months = [MONTHS[int(one) - 1] if one in map(str, range(1, 13)) else one for one in month.lower().split(",")]
    if weekday not in "*?" or not all(one in DAYS for one in months):
        return False
    days = day.split(",")
    return all(one.isdecimal() and int(one) > max(DAYS[name] for name in months) for one in days)
