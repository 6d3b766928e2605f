"""Topic producers: sources of lines, and the delivery of their lines to Kafka.

A part, and what it is for:

- `base`: the contract of a source; start here to write one
- `run`: one run of a source, from its start to the last acknowledgement
- `pump`: passes batches from a source to the delivery
- `notices`, `progress`, `throttled_output`: the output of a run on stderr
- `transforms`, `event_time`: changes to batches on their way: rate, event times
- `delivery`: packs lines into messages and sends them, with or without transactions
- `buffer`: keeps lines that can't be read again in memory and on disk until Kafka has them
- `files`, `tcp`, `actor`, `flume`, `x`, `kafka`: sources of several modules, a folder each
- `bluesky`, `sample`, `stdin`, `zeromq`: sources of one module
- `loading`: classes of the user, for `produce actor` and `produce custom`
- `descriptor`, `line_splitter`, `announced_backoff`, `reconnecting`, `extras`: tools that sources
  share
- `actor_client`: the documented import path of the client for actors

The commands are in `app/commands/produce`, a module for each source.
"""
