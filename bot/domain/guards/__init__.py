"""Guards: what an agent may not do to a repository, whatever it was asked; each a pure function of base and change.

They bind what agents and commands changed. What a template step wrote is the platform team's own word, and is left out before.
`bot.domain.guards.table` has them all.
"""
