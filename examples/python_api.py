"""The Python API, with no server at all: versions of a region of interest."""

from __future__ import annotations

import dvidkit


def main(path: str = "", engine: str = "memory") -> list[list[int]]:
    """Draw a region, commit it, change it on a branch; the two versions differ. Returns the branch's spans."""
    with dvidkit.open(path, engine) as kernel:
        repo = kernel.repos.create("medulla", "an example")
        repo.create_instance("roi", "seven_column")
        root = repo.root
        root["seven_column"].replace([[0, 0, 0, 3], [0, 1, 0, 3]])  # z, y, x0, x1 in blocks
        root.commit("as drawn")

        smaller = root.make_branch("smaller")
        smaller["seven_column"].replace([[0, 0, 1, 2]])

        before = root["seven_column"].mask((0, 0, 0), (1, 64, 128)).sum()
        after = smaller["seven_column"].mask((0, 0, 0), (1, 64, 128)).sum()
        print(f"{before} voxels of the first section before, {after} after")
        spans: list[list[int]] = smaller["seven_column"].spans().tolist()
        return spans


if __name__ == "__main__":
    main()
