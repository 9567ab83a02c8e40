"""Write the table of endpoints in ``docs/http.md`` anew: ``python docs/http_table.py``."""

from __future__ import annotations

from pathlib import Path

from dvidkit.http.groups import offered
from dvidkit.http.tables import markdown
from dvidkit.plugins import Plugins

PAGE = Path(__file__).with_name("http.md")
MARK = "<!-- below: python docs/http_table.py -->\n"


def main() -> None:
    """Keep what stands above the mark, write the table below it."""
    above = PAGE.read_text("utf-8").partition(MARK)[0]
    plugins = Plugins()
    PAGE.write_text(above + MARK + markdown(plugins.datatypes.values(), offered(plugins)), "utf-8")


if __name__ == "__main__":
    main()
