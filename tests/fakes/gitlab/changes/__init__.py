"""What happens: each change of the records, with the events that it sends."""
