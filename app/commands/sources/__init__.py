"""Subcommands of `faust -A app produce`, a source each; `produce` finds them by name."""
