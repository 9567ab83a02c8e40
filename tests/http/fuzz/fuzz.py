"""Schemathesis against a live service, from its own OpenAPI document: no answer may be a 5xx.

Run by ``make fuzz`` (``CASES=20000``). The service has a repo with every installed datatype that can be made without
further settings. After a number of cases the repo is made anew, because cases commit it and delete what is in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from typing import Any

import schemathesis  # pyright: ignore[reportMissingImports] - a group of its own, see make fuzz
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from dvidkit.engine import StoreConfig
from dvidkit.errors import DvidkitError
from dvidkit.http import ServiceConfig, create_app
from dvidkit.http.service import Limits
from dvidkit.kernel import Kernel

ROUND = 20
"""Cases of one operation in one repo."""


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
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        answer = case.call(timeout=120)
        statuses[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code not in (503, 507):
            failures.append(f"{answer.status_code} {case.as_curl_command()}: {answer.text[:200]}")

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
