"""What can happen on GitHub, whoever does it and by whichever door: each change sends the webhooks it sends there."""
