"""``dvidkit demo``: a repo to look at, with a volume, notes, a region of interest and two branches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import click

from dvidkit.cli.serve import run_server, store_at
from dvidkit.errors import BadPayload, MissingExtra
from dvidkit.kernel import DEFAULT_ENGINE, DEFAULT_STORE, Kernel
from dvidkit.upkeep import delete_repo
from dvidkit.version import MASTER

if TYPE_CHECKING:
    import numpy.typing as npt

    from dvidkit.repo import Repo, Version

    Array = npt.NDArray[Any]

GRAYSCALE: Final = "grayscale"
NOTES: Final = "notes"
REGION: Final = "region"
SMOOTHED: Final = "smoothed"
_PROPERTY: Final = "demo"
_GENERATED: Final = "generated"
_TYPES: Final = {
    ("uint8", 1): "uint8blk",
    ("uint16", 1): "uint16blk",
    ("uint32", 1): "uint32blk",
    ("uint64", 1): "uint64blk",
    ("float32", 1): "float32blk",
    ("uint8", 4): "rgba8blk",
}
_BLOCK: Final = 32
_LARGEST_EDIT: Final = 256
_LARGEST_SLICE: Final = 1024
_NEUROGLANCER: Final = "https://neuroglancer-demo.appspot.com/#!"


class Shown(NamedTuple):
    """A demonstration: its names, and the address below the volume of the slice in its middle."""

    alias: str
    uuid: str
    slice_xy: str


@click.command()
@click.argument("path", type=click.Path())
@click.option("--volume", type=click.Path(exists=True), help="PNG, TIFF, npy or npz to take in place of the made one.")
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, help="Engine of a store that is made.")
@click.option("--serve", "served", is_flag=True, help="Serve the store afterwards.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to serve at.")
def demo(path: str, *, volume: str | None, engine: str, served: bool, port: int) -> None:
    """Make a demonstration repo in the store at PATH, which is made if there is none.

    What is there already stays; a demonstration of the same volume is not made twice.
    """
    config = store_at(path, engine)
    with Kernel(config) as kernel:
        repo = demo_repo(kernel, volume)
        click.echo(f"repo {repo.uuid} in {path}")
        shown = shown_repos(kernel)
    if not served:
        click.echo(f"dvidkit serve {path}")
        return
    from dvidkit.http.serverconfig import from_stores

    server = from_stores({DEFAULT_STORE: config}, address=f"localhost:{port}")
    run_server(server, lambda url: click.echo(welcome(url, shown)))


def welcome(url: str, shown: Sequence[Shown]) -> str:
    """What to open, of a server that serves demonstrations."""
    return "\n".join([f"serving at {url}", *_addresses(url, shown)])


def _addresses(url: str, shown: Sequence[Shown]) -> Iterator[str]:
    yield f"  console           {url}/"
    yield f"  help              {url}/api/help"
    for alias, uuid, slice_xy in shown:
        head = f"{url}/api/node/{uuid}"
        yield f"repo {alias!r}"
        yield f"  about             {url}/api/repo/{uuid}/info"
        yield f"  a slice           {head}/{GRAYSCALE}/{slice_xy}"
        for branch in (MASTER, SMOOTHED):
            name = f"  on {branch}"
            yield f"{name:<20}{url}/api/node/{uuid}:{branch}/{GRAYSCALE}/{slice_xy}"
        yield f"  notes             {head}/{NOTES}/keys"
        yield f"  region            {head}/{REGION}/roi"
        yield f"  zarr              {head}/{GRAYSCALE}/zarr"
        yield f"  neuroglancer      {neuroglancer(f'precomputed://{head}/{GRAYSCALE}/precomputed')}"
        yield f"  neuroglancer      {neuroglancer(f'dvid://{url}/{uuid}/{GRAYSCALE}')}"


def shown_repos(kernel: Kernel) -> list[Shown]:
    """What there is to show, of each demonstration."""
    complete = [repo for repo in kernel.repos if repo.record.properties.get(_PROPERTY, {}).get("complete")]
    return [Shown(repo.alias, repo.uuid, _slice_xy(repo.root[GRAYSCALE].extended())) for repo in complete]


def _slice_xy(extended: Mapping[str, Any]) -> str:
    low, high = extended["MinPoint"], extended["MaxPoint"]
    width, height = (min(last - first + 1, _LARGEST_SLICE) for first, last in zip(low[:2], high[:2], strict=True))
    return f"raw/xy/{width}_{height}/{low[0]}_{low[1]}_{(low[2] + high[2] + 1) // 2}/png"


def neuroglancer(source: str) -> str:
    """The address that shows a source in Neuroglancer."""
    state = {"layers": [{"type": "image", "source": source, "name": GRAYSCALE}], "layout": "4panel"}
    return _NEUROGLANCER + quote(json.dumps(state, separators=(",", ":")), safe=":/,")


# --- the repo --------------------------------------------------------------------------------------------------------


def demo_repo(kernel: Kernel, volume: str | None = None) -> Repo:
    """The demonstration of a volume file, or of the generated volume; made if there is none, or only a part of it.

    Raises:
        BadPayload: the file holds no volume, or one that no image datatype holds.
    """
    source = _GENERATED if volume is None else str(Path(volume).resolve())
    for repo in kernel.repos:
        about = repo.record.properties.get(_PROPERTY)
        if about is not None and about["source"] == source:
            if about["complete"]:
                return repo
            delete_repo(repo)
    _need_numpy()
    repo = kernel.repos.create("demo" if volume is None else Path(source).name, "a demonstration of dvidkit")
    repo.set_properties({_PROPERTY: {"source": source, "complete": False}})
    _fill(repo, volume)
    repo.set_properties({_PROPERTY: {"source": source, "complete": True}})
    return repo


def _need_numpy() -> None:
    try:
        import numpy as np
    except ImportError as error:
        install = "pip install 'dvidkit[images]'"
        raise MissingExtra(f"a demonstration needs numpy: {install}", plugin="images", install=install) from error
    del np


def _fill(repo: Repo, volume: str | None) -> None:
    root = repo.root
    shape = _take(root, volume) if volume is not None else _generate(root)
    repo.create_instance("keyvalue", NOTES)
    repo.create_instance("roi", REGION)
    _write_notes(root, shape, volume)
    root[REGION].replace(ellipsoid(tuple(-(-side // _BLOCK) for side in shape)))
    root.commit("the volume as it was taken")
    corner, sides = _middle(shape)
    image: Any = root[GRAYSCALE].read(corner, sides)
    master = root.new_version("brighter in the middle")
    master[GRAYSCALE].write(corner, _changed(image, 1.25 * image.astype("f8")))
    master[NOTES].put("about this version", b"The middle of the volume is brighter than in its parent.")
    side = root.make_branch(SMOOTHED, "smoothed in the middle")
    side[GRAYSCALE].write(corner, _changed(image, smoothed(image)))
    side[NOTES].put("about this version", b"The middle of the volume is smoothed; another branch has it brighter.")


def _take(root: Version, name: str) -> tuple[int, int, int]:
    """Write a volume file into a new instance; its shape."""
    from dvidkit.cli.volumefiles import open_volume

    with open_volume([name]) as volume:
        typename = _TYPES.get((str(volume.dtype.newbyteorder("=")), volume.channels))
        if typename is None:
            raise BadPayload(
                f"{name} holds {volume.channels} values of {volume.dtype} a voxel, which no image datatype does"
            )
        root.repo.create_instance(typename, GRAYSCALE)
        planes = volume.shape_zyx[0]
        for z in range(0, planes, _BLOCK):
            root[GRAYSCALE].write((z, 0, 0), volume.read(min(_BLOCK, planes - z)))
        return volume.shape_zyx


def _generate(root: Version) -> tuple[int, int, int]:
    from dvidkit.cli.tissue import tissue

    volume = tissue()
    root.repo.create_instance("uint8blk", GRAYSCALE)
    root[GRAYSCALE].write((0, 0, 0), volume)
    z, y, x = volume.shape
    return z, y, x


def _write_notes(root: Version, shape: tuple[int, int, int], volume: str | None) -> None:
    z, y, x = shape
    about = {"volume": Path(volume).name if volume else "generated", "voxels (x, y, z)": [x, y, z]}
    root[NOTES].put("about the volume", json.dumps(about).encode())
    root[NOTES].put("about this version", b"The volume as it was taken; committed, so it never changes.")
    root[NOTES].put("place middle", json.dumps({"Pos": [x // 2, y // 2, z // 2]}).encode())


def _middle(shape: tuple[int, int, int]) -> tuple[list[int], list[int]]:
    """Corner and sides of a box of whole blocks in the middle of a volume, or all of a small one."""
    sides = [max(min(side, _BLOCK), min(side // 2, _LARGEST_EDIT) // _BLOCK * _BLOCK) for side in shape]
    corner = [(whole - side) // 2 // _BLOCK * _BLOCK for whole, side in zip(shape, sides, strict=True)]
    return corner, sides


def _changed(image: Array, values: Array) -> Array:
    """Values in the type of the image."""
    import numpy as np

    if image.dtype.kind == "f":
        return values.astype(image.dtype)
    most = int(np.iinfo(image.dtype).max)
    return np.clip(values, 0, float(most)).astype(image.dtype) if most < 1 << 53 else image + 1


def smoothed(image: Array) -> Array:
    """The mean over neighbours along z, y and x."""
    import numpy as np

    values: Array = image.astype("f8")
    for axis in range(3):
        before, after = np.roll(values, 1, axis), np.roll(values, -1, axis)
        values = (before + 2 * values + after) / 4
    return values


def ellipsoid(blocks_zyx: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Spans (z, y, x0, x1) of the blocks of an ellipsoid that fills a box."""
    import numpy as np

    depth, height, width = blocks_zyx
    spans = []
    for z in range(depth):
        for y in range(height):
            left = 1.0 - ((z + 0.5) / depth * 2 - 1) ** 2 - ((y + 0.5) / height * 2 - 1) ** 2
            if left <= 0:
                continue
            half = width / 2 * float(np.sqrt(left))
            spans.append((z, y, max(0, round(width / 2 - half)), min(width, max(1, round(width / 2 + half))) - 1))
    return spans
