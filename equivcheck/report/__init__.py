"""One Report model and its renderers; nothing here measures or judges."""
