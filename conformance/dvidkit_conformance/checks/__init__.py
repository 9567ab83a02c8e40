"""Directed checks: short programs, each written for one clause, that say nothing about anything else."""
