"""What the fake GitHub and the fake GitLab have in common: git, faults, counted windows, the server, the outbox, the guard."""
