"""What follows delivery between two solves: events counted once, allowances of replicas, schedules of arrivals."""
