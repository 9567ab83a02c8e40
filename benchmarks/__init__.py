"""How fast dvidkit is, as ratios to what it stands on. ``python -m benchmarks``; see ``README.md`` beside this file."""
