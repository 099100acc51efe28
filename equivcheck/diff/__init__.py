"""Where they part: pure functions on arrays and on what was traced. No Keras here."""
