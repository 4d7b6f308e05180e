"""Smaller and faster variants of a published version, each held against what it was made of."""
