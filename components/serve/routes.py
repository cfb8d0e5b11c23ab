"""Which path is answered by whom; made anew whenever a model comes or changes."""

from collections.abc import Callable
from typing import Any

from components.serve import v1, v2
from components.serve.answers import Answer, RefusalError, json_answer
from components.serve.app import App, Get, Predict
from components.serve.counters import Counters
from components.serve.fleet import Fleet, Slot
from components.serve.metrics import CONTENT_TYPE, Metrics
from components.serve.openapi import document

SERVER = "evergreen"


class Routes:
    """Keeps an app's tables in step with the fleet."""

    def __init__(self, app: App, fleet: Fleet) -> None:
        """Fills the tables for the first time when the fleet has loaded.

        Args:
            app: whose tables are kept.
            fleet: whose models are asked.
        """
        self._app, self._fleet = app, fleet
        self._metrics = Metrics(fleet, app.refused)
        self.ready = False
        """Whether requests should be sent to this server."""
        app.missing = self._missing
        fleet.on_switch = self.renew

    def renew(self) -> None:
        """Makes the tables; each replaces the old one whole, so that a request finds one or the other."""
        gets, posts = self._common(), {}
        for name, slot in self._fleet.slots.items():
            gets.update(self._gets_of(name, slot))
            posts.update(_posts_of(name, slot))
        gets["/openapi.json"] = _constant(document([slot.model for slot in self._fleet.slots.values()]))
        self._app.gets, self._app.posts = gets, posts

    def _common(self) -> dict[str, Get]:
        models = _constant({"models": sorted(self._fleet.slots)})
        server = {"name": SERVER, "version": "1", "extensions": ["binary_tensor_data"]}
        return {
            "/": _constant({"status": "alive"}),
            "/healthz": _constant({"status": "alive"}),
            "/v1/models": models,
            "/v2": _constant(server),
            "/v2/models": models,
            "/v2/health/live": _constant({"live": True}),
            "/v2/health/ready": self._when_ready({"ready": True}),
            "/metrics": lambda: Answer(200, [(b"content-type", CONTENT_TYPE.encode())], self._metrics.text()),
        }

    def _gets_of(self, name: str, slot: Slot) -> dict[str, Get]:
        ready = self._when_ready({"name": name, "ready": True})
        gets = {f"/v1/models/{name}": ready}
        for base in _v2_bases(name, slot):
            gets |= {base: _constant(v2.metadata(slot.model)), f"{base}/ready": ready}
        return gets

    def _when_ready(self, value: Any) -> Get:
        def answer() -> Answer:
            if not self.ready:
                raise RefusalError(503, "not_ready", "the server is about to stop; ask another")
            return yes

        yes = json_answer(value)
        return answer

    def _missing(self, path: str) -> RefusalError:
        parts = path.split("/")
        if len(parts) > 3 and parts[1] in ("v1", "v2") and parts[2] == "models":
            name = parts[3].partition(":")[0]
            slot = self._fleet.slots.get(name)
            if slot is None:
                served = ", ".join(sorted(self._fleet.slots)) or "none"
                return RefusalError(404, "not_found", f"{ascii(name)[:80]} is not served; the models are {served}")
            if parts[1] == "v2" and len(parts) > 5 and parts[4] == "versions" and parts[5] != str(slot.model.version):
                return v2.not_in_service(slot.model, parts[5])
        return RefusalError(404, "not_found", f"{ascii(path)[:80]} is no path of this server; see /openapi.json")


def _posts_of(name: str, slot: Slot) -> dict[str, tuple[Predict, Counters]]:
    infer = v2.InferV2(slot.model, slot.log)
    posts: dict[str, tuple[Predict, Counters]] = {
        f"/v1/models/{name}:predict": (v1.PredictV1(slot.model, slot.log), slot.counters)
    }
    return posts | {f"{base}/infer": (infer, slot.counters) for base in _v2_bases(name, slot)}


def _v2_bases(name: str, slot: Slot) -> list[str]:
    base = f"/v2/models/{name}"
    return [base] if slot.model.version is None else [base, f"{base}/versions/{slot.model.version}"]


def _constant(value: Any) -> Callable[[], Answer]:
    answer = json_answer(value)
    return lambda: answer
