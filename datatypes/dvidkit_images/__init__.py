"""The image family of datatypes: volumes of voxels in blocks (``uint8blk``, ``uint16blk`` … ``rgba8blk``)."""
