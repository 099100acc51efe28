"""equivcheck explains why two ways of transfer learning give different accuracy curves."""

__version__ = "0.1.0"
