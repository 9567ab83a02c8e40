"""``dvid://`` for fsspec: the keys of a keyvalue instance at a version as files, over HTTP or in process."""
