"""A zarr v3 store over a keyvalue instance at a version, in process: ``dvidkit_zarr.store.DvidStore``."""
