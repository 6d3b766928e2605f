"""Counting: text to words, words to windows and partial counts; imports no client and no Faust."""
