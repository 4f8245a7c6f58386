"""Compares the speed of the package with its peers: ``make bench``. Results are ratios, measured in turns."""
