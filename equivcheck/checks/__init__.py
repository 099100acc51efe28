"""One file per check, nothing else: the folder listing is the catalogue."""
