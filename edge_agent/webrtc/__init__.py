"""Participants at other machines: they join through a one-time link, and their browser streams to this agent."""
