"""Schemathesis against a live service, from its own OpenAPI document: no answer may be a 5xx, and none may be missing.

Run by ``make fuzz`` (``CASES=20000``). The service has a repo with every installed datatype that can be made without
further settings. After a number of cases the repo is made anew, because cases commit it and delete what is in it.

Three rounds of four keep to the document, in which names of what there is and the fields of bodies are filled in, so
that many requests are done and not refused at the door; the fourth does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from typing import Any

import schemathesis  # pyright: ignore[reportMissingImports] - a group of its own, see make fuzz
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Unsatisfiable
from requests.exceptions import Timeout
from schemathesis.core.errors import SerializationNotPossible  # pyright: ignore[reportMissingImports]
from schemathesis.generation import GenerationMode  # pyright: ignore[reportMissingImports]

from dvidkit.engine import StoreConfig
from dvidkit.errors import DvidkitError
from dvidkit.http import ServiceConfig, create_app
from dvidkit.http.service import Limits
from dvidkit.kernel import Kernel

ROUND = 20
"""Cases of one operation in one repo."""
WILD = 4
"""Every so many-th operation is asked for with what its schema forbids."""
PATIENCE = 120
"""Seconds for one answer."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
SPAN = {"type": "string", "pattern": "^[0-9]{1,3}(:[0-9]{1,3})?$"}
TEXT = {"type": "string", "maxLength": 8}
TEXTS = {"type": "array", "items": TEXT, "maxItems": 3}
FIELDS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("alias", "branch", "dataname", "description", "new", "note", "oldMaster", "tag"), TEXT),
    **dict.fromkeys(("log", "data", "parents"), TEXTS),
    "old": {"enum": ["a-keyvalue", "a-roi"]},
    "sync": {"enum": ["", "a-keyvalue", "a-roi"]},
    "typename": {"enum": ["keyvalue", "roi", "uint8blk", "float32blk"]},
    "BlockSize": {"enum": ["8,8,8", "64,64,64", "x"]},
}
"""Of bodies that are JSON objects."""


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Fill in what there is: the collection, experiment and channels of the repo, and the fields of bodies."""
    names = {
        "collection": {"enum": ["fuzz", "other"]},
        "experiment": {"enum": ["master", "other"]},
        "channel": {"enum": ["a-uint8blk", "a-uint16blk", "a-uint64blk", "a-keyvalue", "other"]},
        "resolution": {"enum": ["0", "1"]},
        "orientation": {"enum": ["xy", "xz", "yz"]},
        "tile_size": {"enum": ["16", "512"]},
        "t": {"enum": ["0:1", "0", "1"]},
        "first": TEXT,
        "last": TEXT,
        "key": {**TEXT, "minLength": 1},
        **dict.fromkeys("xyz", SPAN),
    }
    operations = (each for path in raw_schema["paths"].values() for each in path.values())
    for operation in operations:
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                parameter["schema"] = names.get(parameter["name"], parameter["schema"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            body["schema"] = {"anyOf": [{"type": "object", "properties": FIELDS, "additionalProperties": False}, {}]}


def service(path: str) -> tuple[Kernel, Any, str]:
    """A kernel, its app, and the UUID of a version with an instance of every datatype."""
    kernel = Kernel(StoreConfig("lmdb", path))
    repo = kernel.repos.create("fuzz")
    for typename in kernel.plugins.datatypes:
        try:
            repo.create_instance(typename, f"a-{typename}")
        except DvidkitError as error:
            print(f"no instance of {typename}: {error}", file=sys.stderr)
    limits = Limits(body=1 << 24, box=1 << 26, idle_seconds=5)
    return kernel, create_app(kernel, ServiceConfig(limits=limits)), repo.uuid


def run(cases: int, chosen: int) -> int:
    """Run about so many cases; returns how many failed."""
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    number = 0
    while sum(statuses.values()) < cases and len(failures) < 10:
        with tempfile.TemporaryDirectory() as folder:
            kernel, app, uuid = service(f"{folder}/store")
            with kernel:
                schema = schemathesis.openapi.from_asgi(f"/api/openapi.json?version={uuid}", app)
                operations = [result.ok() for result in schema.get_all_operations()]  # pyright: ignore
                for operation in sorted(operations, key=_ends):
                    number += 1
                    _fuzz(operation, statuses, failures, chosen + number)
        print(f"{sum(statuses.values())} cases: {dict(sorted(statuses.items()))}", flush=True)
    for failure in failures:
        print(failure)
    print(f"{sum(statuses.values()) - len(failures)} passed, {len(failures)} failed")
    return len(failures)


def _ends(operation: Any) -> int:
    """Operations after which less of the repo is left come last."""
    return 2 * (operation.method == "delete") + (operation.path.endswith(("/commit", "/merge", "/resolve")))


def _fuzz(operation: Any, statuses: Counter[int], failures: list[str], chosen: int) -> None:
    """One operation with random arguments and bodies, what its schema allows and what it does not."""

    @seed(chosen)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),  # pyright: ignore
    )
    @given(case=operation.as_strategy(generation_mode=MODES[chosen % WILD == 0]))
    def check(case: Any) -> None:
        try:
            answer = case.call(timeout=PATIENCE)
        except Timeout:
            failures.append(f"no answer in {PATIENCE} s: {case.as_curl_command()}")
            return
        statuses[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code not in (503, 507):
            failures.append(f"{answer.status_code} {case.as_curl_command()}: {answer.text[:200]}")

    with suppress(Unsatisfiable, SerializationNotPossible):  # there is nothing that its schema forbids
        check()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    return min(run(options.cases, options.seed), 1)


if __name__ == "__main__":
    sys.exit(main())
