"""The reference engine: a sorted map in memory. Nothing survives ``close``."""
