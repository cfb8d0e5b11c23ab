"""What must hold after whatever was done."""

from collections import defaultdict
from collections.abc import Sequence

from components.store import verify
from tests.keeping.reach import Reach, units_of
from tests.keeping.world import PARTITION_FILES, VERSION_FILES, Model, Pointers, World


class Checks:
    """They remember what was there at the last check."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.files: dict[str, float] = {}
        self.gone: dict[str, set[int]] = defaultdict(set)

    def reach(self, model: Model) -> Reach:
        """What had to stay at the last check."""
        return Reach(self.world, model, self.files, strict=True)

    def check(self, cleaned: Sequence[str] = (), own_run: str | None = None) -> None:
        """All that must stay since the last check is there; half of something never is."""
        found = self.world.look()
        known = {**self.files, **found}
        units = units_of(self.files)
        for model in self.world.models.values():
            reach = Reach(self.world, model, known, strict=True, own_run=own_run)
            kept = reach.kept if model.name in cleaned else reach.own if not cleaned else reach.private
            for path in kept & set(units):
                lost = set(units[path]) - set(found) - self.world.freed
                assert not lost, f"{sorted(lost)} must stay"
            self._check_store(model, found)
        self._check_whole(found)
        self.files = found

    def _check_store(self, model: Model, found: dict[str, float]) -> None:
        store = self.world.store(model)
        assert Pointers.read(store) == model.pointers
        complete = {version.number for version in store.versions()}
        assert not complete & self.gone[model.name], "a number was used twice"
        before = self.reach(model).complete
        self.gone[model.name] |= set(before) - complete
        for number in complete:
            folder = f"models/{model.name}/versions/{number}"
            assert all(f"{folder}/{file}" in found for file in VERSION_FILES), f"{folder} is half there"
        for number in model.pointers.named:
            verify(store.version(number))

    def _check_whole(self, found: dict[str, float]) -> None:
        """What names other things is gone before these."""
        for model in self.world.models.values():
            data = f"data/{model.name}"
            for snapshot, partitions in model.snapshots.items():
                files = {
                    f"{data}/partitions/{partition}/{file}" for partition in partitions for file in PARTITION_FILES
                }
                is_there = f"{data}/snapshots/{snapshot}/snapshot.json" in found
                assert not is_there or files <= set(found), f"{snapshot} names what is gone"
        for key in found:
            if key.endswith("/partition.json") and "/." not in key:
                folder = key.rpartition("/")[0]
                assert all(f"{folder}/{file}" in found for file in PARTITION_FILES), f"{folder} is half there"
        for key, (_, files) in self.world.entries.items():
            assert key not in found or set(files) <= set(found), f"{key} names what is gone"

    def expired(self, names: Sequence[str], own_run: str | None) -> list[str]:
        """What is still there and should not be."""
        models = [self.world.models[name] for name in names]
        reaches = [Reach(self.world, model, self.files, strict=False, own_run=own_run) for model in models]
        return sorted(path for reach in reaches for path in reach.own - reach.kept)
