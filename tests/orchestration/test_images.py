import shutil
from pathlib import Path

import pytest

from components.orchestration import images
from components.orchestration.images import ROOT, carried_files, content_hash, image, imported_files

STEPS = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))


def _carried(step: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in carried_files(step)}


def test_an_image_carries_its_step_what_that_imports_and_its_requirements() -> None:
    carried = _carried("deploy")
    assert {"components/deploy/deploy.py", "components/store/store.py", "components/errors.py"} <= carried
    assert "containers/deploy/requirements.txt" in carried
    assert "components/train/train.py" not in carried


def test_imports_inside_functions_count(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from components.store import ModelStore\n    return ModelStore\n")
    assert imported_files(module) == {
        ROOT / "components" / "__init__.py",
        ROOT / "components" / "store" / "__init__.py",
    }


def test_packages_that_a_module_lies_in_count(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import components.store.version\n")
    names = ("__init__.py", "store/__init__.py", "store/version.py")
    assert imported_files(module) == {ROOT / "components" / name for name in names}


def test_data_files_beside_the_code_count() -> None:
    assert "components/report/style.css" in _carried("finish")


@pytest.mark.parametrize("name", [".style.css.swp", "style.css~", ".DS_Store"])
def test_what_editors_and_systems_leave_does_not_count(monkeypatch, tmp_path: Path, name: str) -> None:
    for folder in ("components", "containers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = carried_files("finish")
    (tmp_path / "components" / "report" / name).write_text("")
    assert carried_files("finish") == before
    images.imported_files.cache_clear()


def test_the_tag_changes_with_the_code_and_only_for_the_steps_that_carry_it(monkeypatch, tmp_path) -> None:
    for folder in ("components", "containers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))

    def tags() -> dict[str, str]:
        content_hash.cache_clear()
        images.imported_files.cache_clear()
        return {step: image(step) for step in STEPS}

    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = tags()
    changed = tmp_path / "components" / "train" / "train.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    after = tags()
    content_hash.cache_clear()
    images.imported_files.cache_clear()
    assert {step for step in STEPS if before[step] != after[step]} == {"train"}
    assert all("python" in name for name in after.values())
