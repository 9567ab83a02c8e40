"""A whole server under load, and killed: what it answered with 2xx is there afterwards."""
