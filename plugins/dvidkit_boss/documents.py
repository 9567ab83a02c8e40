"""The documents of bossDB's API: collections, experiments, channels, resolutions."""

from __future__ import annotations

from typing import Any, Final

from dvidkit.repo import Repo, Version
from dvidkit_boss import making, places
from dvidkit_boss.frames import Frame
from dvidkit_boss.places import Channel

_CUBOID: Final = (512, 512, 16)
"""What clients divide a volume into; any box may be asked for."""


def collection_json(name: str, repo: Repo) -> dict[str, Any]:
    """A collection under the name by which it was asked for."""
    return {
        "name": name,
        "description": repo.record.description,
        "experiments": places.experiments(repo),
        "creator": "",
        "public": True,
    }


def experiment_json(collection: str, name: str, version: Version) -> dict[str, Any]:
    """An experiment under the name by which it was asked for."""
    made = places.experiment_of(version)
    found = list(places.channels(version))
    return {
        "name": name,
        "collection": collection,
        "description": made.description if made else version.record.note,
        "coord_frame": places.frame_name(version),
        "channels": [channel.instance.name for channel in found],
        "num_hierarchy_levels": max([1, *(channel.info.scales for channel in found)]),
        "hierarchy_method": "isotropic",
        "num_time_samples": 1,
        "time_step": None,
        "time_step_unit": "",
        "creator": "",
        "public": True,
    }


def channel_json(experiment: str, channel: Channel) -> dict[str, Any]:
    """A channel. Voxels of 64 bits are annotations: their numbers are ids."""
    tags = channel.instance.settings.tags
    ids = channel.info.kind == "segmentation" or channel.info.dtype == "uint64"
    return {
        "name": channel.instance.name,
        "experiment": experiment,
        "description": tags.get(making.DESCRIPTION_TAG, ""),
        "type": tags.get(making.TYPE_TAG) or ("annotation" if ids else "image"),
        "datatype": channel.info.dtype,
        "base_resolution": 0,
        "default_time_sample": 0,
        "sources": [name for name in tags.get(making.SOURCES_TAG, "").split(",") if name],
        "related": [],
        "downsample_status": downsample_status(channel),
        "storage_type": "spdb",
        "bucket": None,
        "cv_path": None,
        "creator": "",
        "public": True,
    }


def downsample_json(channel: Channel, frame: Frame) -> dict[str, Any]:
    """The resolutions of a channel; each is half of the one before it in every direction."""
    scales = range(channel.info.scales)
    sides = [end - begin for begin, end in zip(frame.start_zyx, frame.stop_zyx, strict=True)]
    return {
        "status": downsample_status(channel),
        "num_hierarchy_levels": len(scales),
        "voxel_size": {str(scale): [size * 2**scale for size in frame.voxel_xyz] for scale in scales},
        "extent": {str(scale): [-(-side // 2**scale) for side in reversed(sides)] for scale in scales},
        "cuboid_size": {str(scale): list(_CUBOID) for scale in scales},
    }


def downsample_status(channel: Channel) -> str:
    """Whether there is more than one resolution."""
    return "DOWNSAMPLED" if channel.info.scales > 1 else "NOT_DOWNSAMPLED"
