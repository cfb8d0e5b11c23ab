"""What the tests ask of the code that an image carries."""

IMPORT_ALL = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
for path in sorted(root.rglob("*.py")):
    parts = path.relative_to(root).with_suffix("").parts
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
assert pathlib.Path(sys.modules["components"].__file__).is_relative_to(root)
print(len(sys.modules))
"""
"""Imports every module below a folder: fails where one is missing, or a package."""
