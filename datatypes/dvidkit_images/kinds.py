"""The six image datatypes."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from dvidkit.errors import BadConfig
from dvidkit_images import voxels
from dvidkit_images.endpoints import ImageEndpoints
from dvidkit_images.settings import ImageSettings
from dvidkit_images.voxels import Voxel

_URL: Final = "github.com/janelia-flyem/dvid/datatype/imageblk/"


class NoJpegSettings(ImageSettings, frozen=True, kw_only=True):
    """Settings of the types whose blocks cannot be stored as JPEG."""

    def check(self) -> None:
        """See ``Settings.check``."""
        super().check()
        if self.compression == "jpeg":
            raise BadConfig("only uint8blk stores its blocks as JPEG", setting="Compression")


class Uint8Images(ImageEndpoints):
    """Volumes of 8-bit gray values."""

    typename: ClassVar[str] = "uint8blk"
    version: ClassVar[str] = "0.2"
    url: ClassVar[str] = _URL + "uint8.go"
    summary: ClassVar[str] = "volumes of 8-bit gray values"
    voxel: ClassVar[Voxel] = voxels.UINT8
    conformance: ClassVar[str] = "dvidkit_images.conformance:Uint8Case"


class Uint16Images(ImageEndpoints):
    """Volumes of 16-bit values."""

    typename: ClassVar[str] = "uint16blk"
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = _URL + "uint16.go"
    summary: ClassVar[str] = "volumes of 16-bit values"
    voxel: ClassVar[Voxel] = voxels.UINT16
    settings: ClassVar[type[Any]] = NoJpegSettings
    conformance: ClassVar[str] = "dvidkit_images.conformance:Uint16Case"


class Uint32Images(ImageEndpoints):
    """Volumes of 32-bit values."""

    typename: ClassVar[str] = "uint32blk"
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = _URL + "uint32.go"
    summary: ClassVar[str] = "volumes of 32-bit values"
    voxel: ClassVar[Voxel] = voxels.UINT32
    settings: ClassVar[type[Any]] = NoJpegSettings
    conformance: ClassVar[str] = "dvidkit_images.conformance:Uint32Case"


class Uint64Images(ImageEndpoints):
    """Volumes of 64-bit values."""

    typename: ClassVar[str] = "uint64blk"
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = _URL + "uint64.go"
    summary: ClassVar[str] = "volumes of 64-bit values"
    voxel: ClassVar[Voxel] = voxels.UINT64
    settings: ClassVar[type[Any]] = NoJpegSettings
    conformance: ClassVar[str] = "dvidkit_images.conformance:Uint64Case"


class Float32Images(ImageEndpoints):
    """Volumes of 32-bit floating point values."""

    typename: ClassVar[str] = "float32blk"
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = _URL + "float32.go"
    summary: ClassVar[str] = "volumes of 32-bit floating point values"
    voxel: ClassVar[Voxel] = voxels.FLOAT32
    settings: ClassVar[type[Any]] = NoJpegSettings
    conformance: ClassVar[str] = "dvidkit_images.conformance:Float32Case"


class RgbaImages(ImageEndpoints):
    """Volumes of colours with 8 bits each of red, green, blue and alpha."""

    typename: ClassVar[str] = "rgba8blk"
    version: ClassVar[str] = "0.2"
    url: ClassVar[str] = _URL + "rgba8.go"
    summary: ClassVar[str] = "volumes of colours with 8 bits each of red, green, blue and alpha"
    voxel: ClassVar[Voxel] = voxels.RGBA8
    settings: ClassVar[type[Any]] = NoJpegSettings
    conformance: ClassVar[str] = "dvidkit_images.conformance:RgbaCase"


DATATYPES: Final = (Uint8Images, Uint16Images, Uint32Images, Uint64Images, Float32Images, RgbaImages)
