"""Stores under several threads: histories, the checker of histories, schedules that replay, and the crew that runs."""
