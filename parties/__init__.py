"""Processes: nodes, dealer, links, identities, agreements, command line."""
