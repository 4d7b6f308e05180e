"""Kinds of variants. Imports nothing, so that a command line can name them at no cost."""

from enum import StrEnum


class Kind(StrEnum):
    """What a variant is called, and what is done: see variants.graphs."""

    FP16 = "fp16"
    INT8 = "int8"
