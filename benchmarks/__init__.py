"""How fast the package is beside its peers: ``make bench``. Ratios, measured in turns within one run; never seconds."""
