"""The table word_counts and what is below it."""
