"""``python -m dvidkit.cli``."""

from __future__ import annotations

from dvidkit.cli import main

if __name__ == "__main__":
    main(prog_name="dvidkit")
