"""Other formats of the same data, computed for each request: neuroglancer precomputed and zarr."""
