"""HTTP: the web server, the JSON handlers, access control and the live page."""
