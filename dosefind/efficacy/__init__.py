"""What the data say of the efficacy of each dose: responses, changes, expected utility, and what would settle the choice."""
