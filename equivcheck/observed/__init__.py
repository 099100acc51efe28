"""Curves that the user already has: console logs, CSVLogger files and histories as JSON. No Keras is needed to read."""

from equivcheck.observed.parting import Parting, partings
from equivcheck.observed.reading import read_log, read_logs
from equivcheck.observed.unlike import Declared, unlike

__all__ = ["Declared", "Parting", "partings", "read_log", "read_logs", "unlike"]
