"""The networks, how they see a person (`canonical`), and their files (`weights`, `authors_checkpoint`)."""
