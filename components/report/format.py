"""How numbers, sizes, times and names are written, in the report and in the terminal alike."""

import math
from datetime import datetime, timezone
from typing import Any

NONE = "–"
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
TIME_UNITS_US = (("s", 1e6), ("ms", 1e3), ("µs", 1.0))
_LARGEST_COUNT = 1e15


def count(value: float | None) -> str:
    """A whole number with thousands separators: `336,776`."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) < _LARGEST_COUNT else f"{value:.3g}"


def short_count(value: float | None) -> str:
    """A whole number, with three digits from a million on: `336,776`, `1.45 M`."""
    return f"{three_digits(value / 1e6)} M" if value is not None and abs(value) >= 1e6 else count(value)


def counted(value: float | None, noun: str) -> str:
    """A number of things: `1 row`, `12 rows`."""
    return f"{count(value)} {noun if value == 1 else noun + 's'}"


def size(value: float | None) -> str:
    """Bytes in binary units, three digits: `105 KiB`."""
    if value is None:
        return NONE
    unit, factor = byte_unit(value)
    return f"{count(value)} B" if unit == "B" else f"{three_digits(value / factor)} {unit}"


def megabytes(value: float | None) -> str:
    """Bytes in millions, as limits of memory are written: `92 MB`."""
    return NONE if value is None else f"{count(value / 1e6)} MB"


def byte_unit(largest: float) -> tuple[str, float]:
    """The binary unit in which a size is written, and its bytes."""
    power = int(math.log2(largest) // 10) if largest >= 1 else 0
    power = min(power, len(BYTE_UNITS) - 1)
    return BYTE_UNITS[power], 1024.0**power


def latency(value_us: float | None) -> str:
    """Microseconds in the unit that suits them: `3.40 µs`, `1.21 ms`."""
    if value_us is None:
        return NONE
    unit, factor = latency_unit(value_us)
    return f"{three_digits(value_us / factor)} {unit}"


def latency_unit(largest_us: float) -> tuple[str, float]:
    """The unit in which a latency is written, and its microseconds."""
    return next((pair for pair in TIME_UNITS_US if largest_us >= pair[1]), TIME_UNITS_US[-1])


def duration(seconds: float | None) -> str:
    """Seconds: `48 ms`, `12.3 s`, `2 min 05 s`, `1 h 05 min`."""
    if seconds is None:
        return NONE
    if seconds < 0.0995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{count(hours)} h {minutes:02d} min"


def share(value: float | None) -> str:
    """A share of one as a percentage: `23.7 %`, and `< 0.1 %` rather than a false zero."""
    if value is None:
        return NONE
    if 0 < value < 0.0005:
        return "< 0.1 %"
    return f"{value:.1%}".replace("%", " %") if abs(value) < 1e9 else NONE


def quality(value: float | None) -> str:
    """A metric with four decimals, or five digits where it is large."""
    if value is None:
        return NONE
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:,.5g}" if abs(value) < 1e5 else f"{value:.4g}"


def metric(name: str) -> str:
    """A metric's name as people write it: `AUC`, `log loss`."""
    return name.upper() if name in ("auc", "rmse", "mae", "mse", "r2") else name.replace("_", " ")


def difference(value: float | None) -> str:
    """A difference of two metrics, with its sign: `+0.0012`."""
    if value is None:
        return NONE
    return ("+" if value >= 0 else "") + quality(value)


def lost(value: float | None, absolute: bool) -> str:
    """A loss of quality: as a difference of metrics, or as a share of the metric (`0.21 %`) where it is an error."""
    if value is None:
        return NONE
    if absolute:
        return quality(0.0 if abs(value) < 5e-5 else value)
    return f"{0.0 if abs(value) < 5e-5 else value:.2%}".replace("%", " %") if abs(value) < 1e9 else f"{value:.3g}"


def price(value: float | None) -> str:
    """A price with three digits that count, however small: `1.21`, `0.000367`, `0.001`."""
    if value is None:
        return NONE
    if not 1e-9 < abs(value) < 1:
        return three_digits(value)
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0")


def three_digits(value: float) -> str:
    """A number with three digits that count: `1.21`, `12.1`, `1,210`."""
    if abs(value) >= _LARGEST_COUNT:
        return f"{value:.3g}"
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{decimals}f}"


def number(value: float | None) -> str:
    """Any number, as short as five digits allow."""
    if value is None:
        return NONE
    whole = value == int(value) and abs(value) < 1e7
    return (f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.0f}") if whole else f"{value:.5g}"


def moment(value: Any) -> str:
    """A time: seconds since 1970 or ISO text as `2013-10-01 06:00 UTC`; only the date at midnight."""
    time = _datetime(value)
    if time is None:
        return clipped(str(value), 40) if value not in (None, "") else NONE
    return f"{time:%Y-%m-%d}" if (time.hour, time.minute) == (0, 0) else f"{time:%Y-%m-%d %H:%M} UTC"


def _datetime(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value.replace("Z", "+00:00"))
            return time.astimezone(timezone.utc) if time.tzinfo else time
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def digest(value: str) -> str:
    """The first twelve characters of a digest, which name it well enough."""
    return value.rpartition(":")[2][:12] or NONE


def clipped(text: str, length: int) -> str:
    """Text of at most `length` characters; an ellipsis tells where some were left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def shortened(text: str, length: int) -> str:
    """Text of at most `length` characters that keeps its beginning and its end."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def plain(text: str) -> str:
    """Text without control characters and lone surrogates: safe for a terminal and for UTF-8."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    control = ord(character) < 32 or 127 <= ord(character) < 160 or 0xD800 <= ord(character) < 0xE000
    return "\N{REPLACEMENT CHARACTER}" if control else character
