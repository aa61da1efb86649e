"""What a deployment may declare that it is for; stamped into all that leaves it."""

PURPOSES = ("research", "clinical", "safety")
