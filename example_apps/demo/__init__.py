"""Shared by the demonstrations of `dpm demo`: server processes, and the report of the outcomes."""
