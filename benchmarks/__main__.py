"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec

from benchmarks import blocks, engines, images, service, table
from benchmarks.engines import TINY, Size
from benchmarks.measuring import Figure
from benchmarks.rawdrivers import RAW
from benchmarks.volumes import em_like, from_file

PARTS = ("engines", "blocks", "images", "service")
_DRIVERS = {"lmdb": "lmdb", "leveldb": "plyvel", "rocksdb": "rocksdict"}


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Measure what the arguments ask for, print a table, and return the figures."""
    asked = _parser().parse_args(arguments)
    found: list[Figure] = []
    print(table.heading())
    folder = tempfile.mkdtemp(prefix="dvidkit-bench-", dir=asked.directory)
    try:
        for figure in _measured(asked, folder):
            figure = replace(figure, bar=None) if asked.tiny else figure
            found.append(figure)
            print(table.line(figure), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table.summary(found))
    if asked.json:
        table.write_json(found, asked.json)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part to run; may be repeated (all)")
    parser.add_argument("--engine", action="append", choices=list(RAW), help="an engine; may be repeated (all)")
    parser.add_argument("--checks", choices=("on", "off", "both"), default="both", help="integrity checks (both)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--rounds", type=int, help="of which the best counts")
    parser.add_argument("--side", type=int, default=512, help="of the image volume, in voxels (512)")
    parser.add_argument("--smooth", action="store_true", help="an image volume that lz4 makes half as large")
    parser.add_argument("--volume", metavar="FILE", help="an image volume of your own: .npy or .npz of uint8")
    parser.add_argument("--directory", help="where stores are made (the system's directory for temporary files)")
    parser.add_argument("--tiny", action="store_true", help="next to nothing: does every part run?")
    return parser


def _measured(asked: argparse.Namespace, folder: str) -> Iterator[Figure]:
    size = TINY if asked.tiny else Size()
    if asked.rounds:
        size = replace(size, rounds=asked.rounds)
    checks = {"on": (True,), "off": (False,), "both": (False, True)}[asked.checks]
    parts = asked.only or PARTS
    for engine in _engines(asked.engine) if {"engines", "blocks"} & set(parts) else ():
        if "engines" in parts:
            yield from engines.figures(engine, folder, size, checks)
        if "blocks" in parts:
            yield from blocks.figures(engine, folder, size, checks)
    if "images" in parts:
        yield from _images(asked, folder, checks)
    if "service" in parts:
        yield from service.figures(folder, service.TINY if asked.tiny else service.Effort())


def _images(asked: argparse.Namespace, folder: str, checks: Sequence[bool]) -> Iterator[Figure]:
    side = asked.side if not asked.tiny else 192
    volume = from_file(asked.volume, side) if asked.volume else em_like(side, smooth=asked.smooth)
    repeats = images.Repeats() if not asked.tiny else images.Repeats(boxes=1, writes=1)
    print(f"images: {volume.shape[0]}^3 voxels on {images.disk_of(folder)}")
    yield from images.figures(volume, folder, repeats, checks)


def _engines(asked: Sequence[str] | None) -> Iterator[str]:
    """Those that are asked for, or all whose driver is installed."""
    for engine in asked or RAW:
        if find_spec(_DRIVERS.get(engine, "dvidkit")) is not None:
            yield engine
        else:
            print(f"{engine}: {_DRIVERS[engine]} is not installed")


if __name__ == "__main__":
    main()
