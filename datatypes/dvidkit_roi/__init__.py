"""The datatype ``roi``: regions of interest, as spans of blocks."""
