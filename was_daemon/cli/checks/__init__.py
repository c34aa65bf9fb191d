"""What `was-daemon check` tries on a server: a function for each check, in the order of the guide's checklist."""
