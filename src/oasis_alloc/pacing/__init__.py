"""What follows delivery between two solves: prices, events counted once, allowances of replicas, schedules."""
