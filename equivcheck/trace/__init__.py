"""What happened: measured on the live arms, through the outer model's own graph, and put back as it was."""
