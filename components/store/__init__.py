"""The model store: numbered, immutable versions of each model, and pointers to them."""

from components.digests.content import file_digest
from components.store.copies import on_disk
from components.store.store import ModelStore
from components.store.version import CHECKSUMS, Version, checksums, verify

__all__ = ["CHECKSUMS", "ModelStore", "Version", "checksums", "file_digest", "on_disk", "verify"]
