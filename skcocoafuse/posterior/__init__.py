"""What was learned: draws as plain arrays, with consistent expert labels."""
